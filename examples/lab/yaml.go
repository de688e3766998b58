// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reader reads a file's values, and notes mistakes instead of ending at the first.
type reader struct {
	file     string
	mistakes []mistake
}

type mistake struct {
	line int
	err  error
}

// node is where a value stands.
type node = *yaml.Node

// entry is a key and its value.
type entry struct{ key, value node }

func (r *reader) wrong(at node, format string, args ...any) {
	r.mistakes = append(r.mistakes, mistake{at.Line, fmt.Errorf("%s:%d: "+format, append([]any{r.file, at.Line}, args...)...)})
}

// err is all that was wrong, in the order of the lines.
func (r *reader) err() error {
	slices.SortStableFunc(r.mistakes, func(a, b mistake) int { return cmp.Compare(a.line, b.line) })
	var errs []error
	for _, m := range r.mistakes {
		errs = append(errs, m.err)
	}
	return errors.Join(errs...)
}

var syntaxError = regexp.MustCompile(`^yaml: (?:line \d+: )?(?s:(.*))$`)

// document parses a file of exactly one.
func (r *reader) document(text string) (node, error) {
	first, more, err := decode(text)
	switch {
	case err != nil:
		reason := err.Error()
		if m := syntaxError.FindStringSubmatch(reason); m != nil {
			reason = m[1]
		}
		return nil, fmt.Errorf("%s:%d: %s", r.file, lineOf(text, err), reason)
	case first == nil:
		return nil, fmt.Errorf("%s:1: nothing is in it", r.file)
	case more != nil:
		return nil, fmt.Errorf("%s:%d: a second document", r.file, more.Line)
	}
	return first.Content[0], nil
}

// decode reads a file's first two documents, as far as it has any.
func decode(text string) (first, more node, err error) {
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for _, to := range []*node{&first, &more} {
		n := new(yaml.Node)
		if err := decoder.Decode(n); errors.Is(err, io.EOF) {
			return first, more, nil
		} else if err != nil {
			return nil, nil, err
		}
		*to = n
	}
	return first, more, nil
}

// lineOf a syntax error is the first that the file cannot be read to without it. The one that yaml tells is as a
// rule that before, or where the block around begins, and of some errors none (v3.0.5).
func lineOf(text string, err error) int {
	line, end := 0, 0
	for l := range strings.Lines(text) {
		line, end = line+1, end+len(l)
		if _, _, e := decode(text[:end]); e != nil && e.Error() == err.Error() {
			break
		}
	}
	return line
}

// alias is what a value stands for.
func alias(n node) node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNothing(n node) bool { return n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// entries are those of a mapping, in order; an empty value is one of none.
func (r *reader) entries(n node, what string) []entry {
	n = alias(n)
	switch {
	case isNothing(n):
		return nil
	case n.Kind != yaml.MappingNode:
		r.wrong(n, "%s: not a mapping of keys to values", what)
		return nil
	}
	var all []entry
	seen := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := alias(n.Content[i]), alias(n.Content[i+1])
		if line, ok := seen[key.Value]; ok {
			r.wrong(n.Content[i], "%s: %q is there twice, first on line %d", what, key.Value, line)
			continue
		}
		seen[key.Value] = n.Content[i].Line
		all = append(all, entry{n.Content[i], value})
	}
	return all
}

// fields are the values of a mapping that may have these keys, and must have those with a !.
func (r *reader) fields(at, n node, what string, keys ...string) map[string]node {
	have, before := map[string]node{}, len(r.mistakes)
	all := r.entries(n, what)
	if all == nil && len(r.mistakes) > before {
		return have // it is no mapping at all
	}
	for _, e := range all {
		if name := e.key.Value; slices.Contains(keys, name) || slices.Contains(keys, name+"!") {
			have[name] = e.value
			continue
		}
		r.wrong(e.key, "%s: key %q is not known; there are %s", what, e.key.Value,
			strings.ReplaceAll(strings.Join(keys, ", "), "!", ""))
	}
	for _, k := range keys {
		if name, must := strings.CutSuffix(k, "!"); must && have[name] == nil {
			r.wrong(at, "%s: %s is missing", what, name)
		}
	}
	return have
}

// items are those of a list; nothing has none.
func (r *reader) items(n node, what string) []node {
	switch {
	case isNothing(n):
		return nil
	case n.Kind != yaml.SequenceNode:
		r.wrong(n, "%s: not a list: [%s]", what, n.Value)
		return nil
	}
	var all []node
	for _, c := range n.Content {
		if c = alias(c); c.Kind != yaml.ScalarNode {
			r.wrong(c, "%s: not a list of plain values", what)
			continue
		}
		all = append(all, c)
	}
	return all
}

// addresses are the items of a list that should have some, where it is there.
func (r *reader) addresses(n node, what string) []node {
	if n != nil && (isNothing(n) || n.Kind == yaml.SequenceNode && len(n.Content) == 0) {
		r.wrong(n, "%s: no address", what)
	}
	return r.items(n, what)
}

// number reads one from low to high; nothing is zero.
func (r *reader) number(n node, what string, low, high int) int {
	if n == nil {
		return 0
	}
	v, err := strconv.Atoi(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode || v < low || v > high {
		r.wrong(n, "%s: %q is not a number from %d to %d", what, n.Value, low, high)
		return 0
	}
	return v
}

// choice reads one of some words; nothing is the first.
func choice[T any](r *reader, n node, what string, words []string, values []T) T {
	if n == nil {
		return values[0]
	}
	if i := slices.Index(words, n.Value); i >= 0 {
		return values[i]
	}
	r.wrong(n, "%s: %q is none of %s", what, n.Value, strings.Join(words, ", "))
	return values[0]
}

func (r *reader) addr(n node, what string) (a netip.Addr, ok bool) {
	a, err := netip.ParseAddr(n.Value)
	if err != nil {
		r.wrong(n, "%s: %q is no address, such as 10.0.1.1 or fd00::1", what, n.Value)
		return a, false
	}
	return a, r.usable(n, what, a)
}

func (r *reader) prefix(n node, what string) (p netip.Prefix, ok bool) {
	p, err := netip.ParsePrefix(n.Value)
	if err != nil {
		r.wrong(n, "%s: %q is no address with a prefix length, such as 192.0.2.1/24", what, n.Value)
		return p, false
	}
	return p, true
}

// usable tells whether a host or an endpoint may have an address.
func (r *reader) usable(n node, what string, a netip.Addr) bool {
	switch {
	case a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() ||
		a.IsLinkLocalUnicast() && a.Is6() || a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240):
		r.wrong(n, "%s: %s is nobody's to have", what, a)
		return false
	}
	return true
}

// within tells whether an address can be one of a prefix: IPv4 has two that are not.
func (r *reader) within(n node, what string, a netip.Addr, p netip.Prefix) bool {
	if a.Is6() || p.Bits() > 30 {
		return true
	}
	if a == p.Masked().Addr() || a == last(p) {
		r.wrong(n, "%s: %s is the network's own, or its broadcast address", what, a)
		return false
	}
	return true
}

// last address of an IPv4 prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// reader reads YAML, and JSON, which is YAML too, into messages. A mistake names its file, line and field.
type reader struct {
	file  string // for mistakes
	dir   string // where files are that it names
	lines []int  // of the endpoints that were read
}

func (r *reader) wrong(at *yaml.Node, field, format string, args ...any) error {
	return usagef("%s:%d: %s: %w", r.file, at.Line, field, fmt.Errorf(format, args...))
}

// document parses a file of one, which may be empty: nil.
func (r *reader) document(text []byte) (*yaml.Node, error) {
	all, err := r.documents(text)
	switch {
	case err != nil:
		return nil, err
	case len(all) > 1:
		return nil, usagef("%s:%d: a second document", r.file, all[1].Line)
	case len(all) == 0:
		return nil, nil
	}
	return all[0], nil
}

var syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// documents parses a file of any number; empty ones are left out.
func (r *reader) documents(text []byte) ([]*yaml.Node, error) {
	var all []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(untab(text)))
	for {
		n := new(yaml.Node)
		switch err := decoder.Decode(n); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			reason := err.Error()
			if m := syntaxError.FindStringSubmatch(reason); m != nil {
				reason = m[2]
			}
			return nil, usagef("%s:%d: %s", r.file, lineOf(text, err), reason)
		case !nothing(n.Content[0]):
			all = append(all, n.Content[0])
		}
	}
}

// lineOf a syntax error is the first that the file cannot be read to without it. The one that yaml tells is as a
// rule that before, or where the block around begins, and of some errors none (v3.0.5). It has to do in a file where
// reading again and again up to the right one would take long.
func lineOf(text []byte, err error) int {
	told := 1
	if m := syntaxError.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
		told, _ = strconv.Atoi(m[1])
	}
	line, end, left := 0, 0, 4<<20
	for l := range bytes.Lines(text) {
		if line, end = line+1, end+len(l); line < told {
			continue
		}
		if left -= end; left < 0 {
			break
		}
		decoder := yaml.NewDecoder(bytes.NewReader(untab(text[:end])))
		var e error
		for e == nil {
			e = decoder.Decode(new(yaml.Node))
		}
		if e.Error() == err.Error() {
			return line
		}
	}
	return told
}

// untab has the indentation of a JSON file in spaces: YAML takes no tabs there.
func untab(text []byte) []byte {
	if start := bytes.TrimSpace(text); len(start) == 0 || start[0] != '{' && start[0] != '[' {
		return text
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for i, l := range lines {
		rest := bytes.TrimLeft(l, " \t")
		lines[i] = append(bytes.Repeat([]byte(" "), len(l)-len(rest)), rest...)
	}
	return bytes.Join(lines, nil)
}

func nothing(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

type entry struct{ key, value *yaml.Node }

// entries are those of a mapping, in order.
func entries(n *yaml.Node) []entry {
	var all []entry
	if n = alias(n); n != nil && n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			all = append(all, entry{n.Content[i], alias(n.Content[i+1])})
		}
	}
	return all
}

// list has the items of a sequence.
func list(n *yaml.Node) []*yaml.Node {
	var all []*yaml.Node
	if n = alias(n); n != nil && n.Kind == yaml.SequenceNode {
		for _, one := range n.Content {
			all = append(all, alias(one))
		}
	}
	return all
}

func alias(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// mapping refuses what is none, and a key that is there twice.
func (r *reader) mapping(n *yaml.Node, path string) error {
	if n.Kind != yaml.MappingNode {
		return r.wrong(n, orTop(path), "not a mapping of names to values")
	}
	seen := map[string]int{}
	for _, e := range entries(n) {
		if line := seen[e.key.Value]; line != 0 {
			return r.wrong(e.key, join(path, e.key.Value), "it is in line %d already", line)
		}
		seen[e.key.Value] = e.key.Line
	}
	return nil
}

// known refuses keys that are not among names.
func (r *reader) known(n *yaml.Node, path string, names ...string) error {
	if nothing(n) {
		return nil
	}
	if err := r.mapping(n, path); err != nil {
		return err
	}
	for _, e := range entries(n) {
		if !slices.Contains(names, e.key.Value) {
			return r.wrong(e.key, join(path, e.key.Value), "no such field: there are %s", strings.Join(names, ", "))
		}
	}
	return nil
}

func join(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

func orTop(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

// message fills a message from a mapping, whose keys are written as in JSON (noDirectPath) or as in the proto files
// (no_direct_path).
func (r *reader) message(n *yaml.Node, m protoreflect.Message, path string) error {
	n = alias(n)
	if nothing(n) {
		return nil
	}
	if err := r.mapping(n, path); err != nil {
		return err
	}
	fields := m.Descriptor().Fields()
	for _, e := range entries(n) {
		at := join(path, e.key.Value)
		if m.Descriptor().Name() == "Function" && (e.key.Value == "objectFile" || e.key.Value == "object_file") {
			if err := r.object(e.value, m, at); err != nil {
				return err
			}
			continue
		}
		fd := fields.ByJSONName(e.key.Value)
		if fd == nil {
			fd = fields.ByTextName(e.key.Value)
		}
		switch {
		case fd == nil:
			return r.wrong(e.key, at, "no such field%s", r.guess(fields, e.key.Value))
		case nothing(e.value):
			continue
		case m.Has(fd):
			return r.wrong(e.key, at, "it is given twice")
		}
		if o := fd.ContainingOneof(); o != nil && m.WhichOneof(o) != nil {
			return r.wrong(e.key, at, "only one of it and %s can be", m.WhichOneof(o).JSONName())
		}
		if err := r.field(e.value, m, fd, at); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) field(n *yaml.Node, m protoreflect.Message, fd protoreflect.FieldDescriptor, at string) error {
	switch {
	case fd.IsList():
		if n.Kind != yaml.SequenceNode {
			return r.wrong(n, at, "not a list")
		}
		to := m.Mutable(fd).List()
		for i, one := range list(n) {
			v, err := r.value(one, fd, to.NewElement, fmt.Sprintf("%s[%d]", at, i))
			if err != nil {
				return err
			}
			to.Append(v)
		}
		return nil
	case fd.IsMap():
		if err := r.mapping(n, at); err != nil {
			return err
		}
		to := m.Mutable(fd).Map()
		for _, e := range entries(n) {
			v, err := r.value(e.value, fd.MapValue(), to.NewValue, join(at, e.key.Value))
			if err != nil {
				return err
			}
			k, err := parse(fd.MapKey(), e.key.Value)
			if err != nil {
				return r.wrong(e.key, join(at, e.key.Value), "%w", err)
			}
			to.Set(k.MapKey(), v)
		}
		return nil
	}
	v, err := r.value(n, fd, func() protoreflect.Value { return m.NewField(fd) }, at)
	if err == nil {
		m.Set(fd, v)
	}
	return err
}

func (r *reader) value(n *yaml.Node, fd protoreflect.FieldDescriptor, make func() protoreflect.Value, at string) (protoreflect.Value, error) {
	if fd.Kind() == protoreflect.MessageKind {
		v := make()
		return v, r.message(n, v.Message(), at)
	}
	if n.Kind != yaml.ScalarNode {
		return protoreflect.Value{}, r.wrong(n, at, "not a single value")
	}
	text := n.Value
	if b, ok := boolean(n); ok {
		text = strconv.FormatBool(b)
	}
	v, err := parse(fd, text)
	if err != nil {
		return v, r.wrong(n, at, "%w", err)
	}
	return v, nil
}

// boolean reads True and TRUE as YAML does; a string stays one.
func boolean(n *yaml.Node) (b, ok bool) {
	return b, n.Tag == "!!bool" && n.Decode(&b) == nil
}

// object reads a function's object from a file of ours. The daemon is sent what is in it, never a path.
func (r *reader) object(n *yaml.Node, m protoreflect.Message, at string) error {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		return r.wrong(n, at, "not the name of a file")
	}
	fd := m.Descriptor().Fields().ByName("object")
	if m.Has(fd) {
		return r.wrong(n, at, "only one of it and object can be")
	}
	path := n.Value
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file") // one that never ends, perhaps
	}
	if err != nil {
		return r.wrong(n, at, "%w", err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return r.wrong(n, at, "%w", err)
	}
	m.Set(fd, protoreflect.ValueOfBytes(b))
	return nil
}

// guess finds the field that was meant, if it is only written another way, or lists what there is.
func (r *reader) guess(fields protoreflect.FieldDescriptors, name string) string {
	plain := func(s string) string { return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s)) }
	var all []string
	for i := range fields.Len() {
		json := fields.Get(i).JSONName()
		if strings.TrimSuffix(plain(json), "s") == strings.TrimSuffix(plain(name), "s") {
			return ": it is written " + json
		}
		all = append(all, json)
	}
	return ": there are " + strings.Join(all, ", ")
}

// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// noun is one thing that verbs speak of.
type noun struct {
	name, plural string
	aliases      []string
	short        string
	kind         v1.Kind // none for what is only read

	// key has the fields that name one, in the order in which they are typed and shown, with / between.
	key     []string
	keyHelp string // how a key is typed
	// readKey has the fields of a typed key; nil: it is cut at the first slashes.
	readKey func(text string) ([]pair, error)
	// showKey is how a key is shown; nil: its fields.
	showKey func(m proto.Message) string

	verb    string   // add, create or set: what makes one
	makeKey string   // how the key is typed there; empty: keyHelp
	made    []string // the fields that it fills; nil: those of the key
	flags   []flag   // what else there is to say
	example string

	within  bool   // get takes a key, which says of what it lists
	filters []flag // flags of get: fields of the list's request
	columns []column

	put, remove, get, list *rpc
}

// pair is a field and what it says.
type pair struct{ field, text string }

func (n *noun) title() string { return strings.ReplaceAll(n.plural, "-", " ") }

// content is what a list has.
func (n *noun) content() string {
	if n.within {
		return "entries"
	}
	return n.title()
}

// resource is a new, empty one.
func (n *noun) resource() proto.Message {
	m := n.put.request().ProtoReflect()
	return m.NewField(resourceField(m)).Message().Interface()
}

// resourceField is the field that bears the resource: a message, and the first, in requests and in answers.
func resourceField(m protoreflect.Message) protoreflect.FieldDescriptor {
	return m.Descriptor().Fields().ByNumber(1)
}

// items are the resources of a list's answer: its first field.
func items(list proto.Message) []proto.Message {
	m := list.ProtoReflect()
	l := m.Get(resourceField(m)).List()
	all := make([]proto.Message, l.Len())
	for i := range all {
		all[i] = l.Get(i).Message().Interface()
	}
	return all
}

// pairs reads a key as it was typed.
func (n *noun) pairs(key string) ([]pair, error) {
	if n.readKey != nil {
		return n.readKey(key)
	}
	return cutKey(n.keyHelp, key, n.key...)
}

// cutKey cuts a key at its first slashes: what is behind the last one may have more, as prefixes do.
func cutKey(help, key string, fields ...string) ([]pair, error) {
	parts := strings.SplitN(key, "/", len(fields))
	if len(parts) != len(fields) || slices.Contains(parts, "") {
		return nil, usagef("%q is no key: it reads %s", key, help)
	}
	var all []pair
	for i, f := range fields {
		all = append(all, pair{f, parts[i]})
	}
	return all, nil
}

// naming puts a typed key into a request: into its own fields, or those of its message key or scope.
func (n *noun) naming(m proto.Message, key string) error {
	pairs, err := n.pairs(key)
	if err != nil {
		return err
	}
	return n.fill(m, key, n.keyHelp, pairs)
}

// making puts the key into a new resource.
func (n *noun) making(m proto.Message, key string) error {
	if n.made == nil {
		return n.naming(m, key)
	}
	pairs, err := cutKey(n.makeKey, key, n.made...)
	if err != nil {
		return err
	}
	return n.fill(m, key, n.makeKey, pairs)
}

func (n *noun) fill(m proto.Message, key, help string, pairs []pair) error {
	for _, p := range pairs {
		paths := []string{p.field, "key." + p.field, "scope." + p.field}
		i := slices.IndexFunc(paths, func(path string) bool { return field(m.ProtoReflect().Descriptor(), path) != nil })
		if i < 0 {
			return usagef("%q is no key: it reads %s", key, help)
		}
		if err := put(m.ProtoReflect(), paths[i], p.text); err != nil {
			return usagef("%q is no key: %s: %w", key, p.field, err)
		}
	}
	return nil
}

// keyOf is a resource's key, as the daemon calls it too.
func (n *noun) keyOf(m proto.Message) string {
	if n.showKey != nil {
		return n.showKey(m)
	}
	var parts []string
	for _, f := range n.key {
		parts = append(parts, show(m, f))
	}
	return strings.Join(parts, "/")
}

// sort has what streams yield in no order.
func (n *noun) sort(list proto.Message) {
	m := list.ProtoReflect()
	fd := resourceField(m)
	all := items(list)
	by := n.key
	if n.within {
		by = []string{"key"} // the noun's names the list, not what is in it
	}
	slices.SortStableFunc(all, func(a, b proto.Message) int {
		for _, f := range by {
			if c := compare(a, b, f); c != 0 {
				return c
			}
		}
		return 0
	})
	sorted := m.NewField(fd).List()
	for _, one := range all {
		sorted.Append(protoreflect.ValueOfMessage(one.ProtoReflect()))
	}
	m.Set(fd, protoreflect.ValueOfList(sorted))
}

// compare has numbers by size, addresses by value, the rest by its bytes.
func compare(a, b proto.Message, path string) int {
	fd, x, _ := find(a.ProtoReflect(), path)
	_, y, ok := find(b.ProtoReflect(), path)
	if fd == nil || !ok {
		return 0
	}
	switch fd.Kind() {
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return cmp.Compare(x.Uint(), y.Uint())
	case protoreflect.BytesKind:
		return bytes.Compare(x.Bytes(), y.Bytes())
	}
	s, errS := netip.ParseAddr(x.String())
	t, errT := netip.ParseAddr(y.String())
	if errS == nil && errT == nil {
		return s.Compare(t)
	}
	return cmp.Compare(x.String(), y.String())
}

// find finds a noun by any of its names.
func (c *cli) find(name string) (*noun, error) {
	for _, n := range c.nouns {
		if name == n.name || name == n.plural || slices.Contains(n.aliases, name) {
			return n, nil
		}
	}
	return nil, usagef("%q is no noun", name)
}

// ofKind finds the noun of a kind; nil where it is unspecified, or new in the API.
func (c *cli) ofKind(k v1.Kind) *noun {
	for _, n := range c.nouns {
		if k != v1.Kind_KIND_UNSPECIFIED && n.kind == k {
			return n
		}
	}
	return nil
}

// mainTable is RT_TABLE_MAIN, which a route is in if it says nothing.
const mainTable uint32 = 254

// routeKey reads a route's key: the destination alone is one of the main table.
func routeKey(text string) ([]pair, error) {
	if _, err := netip.ParsePrefix(text); err == nil {
		return []pair{{"destination", text}}, nil
	}
	table, destination, _ := strings.Cut(text, "/")
	if table == "main" {
		table = "0"
	}
	if _, err := strconv.ParseUint(table, 10, 32); err != nil || destination == "" {
		return nil, usagef("%q is no key: it reads [TABLE/]PREFIX", text)
	}
	return []pair{{"table", table}, {"destination", destination}}, nil
}

func showRouteKey(m proto.Message) string {
	r := m.(*v1.Route)
	return fmt.Sprintf("%d/%s", cmp.Or(r.GetTable(), mainTable), r.GetDestination())
}

// stageKey reads point[/VNI[/address]], with - for what is not given.
func stageKey(text string) ([]pair, error) {
	parts := strings.SplitN(text, "/", 3)
	var all []pair
	for i, f := range []string{"point", "vni", "address"}[:len(parts)] {
		if i == 0 || parts[i] != "-" {
			all = append(all, pair{f, parts[i]})
		}
	}
	return all, nil
}

func showStageKey(m proto.Message) string {
	parts := []string{"point", "vni", "address"}
	for i, f := range parts {
		parts[i] = cmp.Or(show(m, "scope."+f), "-")
	}
	return strings.Join(parts, "/")
}

// localKey reads VNI/address, also with the prefix length that the address was given with, or an interface's name.
func localKey(text string) ([]pair, error) {
	vni, address, ok := strings.Cut(text, "/")
	if !ok && text != "" {
		return []pair{{"host_interface", text}}, nil
	}
	address, _, _ = strings.Cut(address, "/")
	if vni == "" || address == "" {
		return nil, usagef("%q is no key: it reads VNI/ADDRESS", text)
	}
	return []pair{{"vni", vni}, {"address", address}}, nil
}

func showLocalKey(m proto.Message) string {
	e := m.(*v1.LocalEndpoint)
	address := "-"
	if all := e.GetAddresses(); len(all) > 0 {
		address, _, _ = strings.Cut(all[0], "/")
	}
	return fmt.Sprintf("%d/%s", e.GetVni(), address)
}

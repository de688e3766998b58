// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// reader fills structs from a YAML tree. The package's own decoder, with KnownFields, tells a mistake's line and
// a Go type; an operator needs the field.
type reader struct {
	file     string
	root     *yaml.Node
	mistakes []error
}

// wrong notes a mistake in the field, which may be one that the file does not have.
func (r *reader) wrong(field, format string, args ...any) {
	r.at(find(r.root, field), field, format, args...)
}

func (r *reader) at(n *yaml.Node, field, format string, args ...any) {
	line := 1
	if n != nil {
		line = n.Line
	}
	if field == "" {
		field = "the file"
	}
	r.mistakes = append(r.mistakes, fmt.Errorf("%s:%d: %s: %s", r.file, line, field, fmt.Sprintf(format, args...)))
}

func (r *reader) read(root *yaml.Node, into any) {
	r.value(root, "", reflect.ValueOf(into).Elem())
}

func (r *reader) value(n *yaml.Node, field string, v reflect.Value) {
	if n.Kind == yaml.AliasNode {
		r.at(n, field, "an alias: say it in full")
		return
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // the key alone: the default
	}
	_, text := v.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case text, v.Kind() != reflect.Struct && v.Kind() != reflect.Slice:
		r.scalar(n, field, v)
	case v.Kind() == reflect.Struct:
		r.mapping(n, field, v)
	default:
		r.list(n, field, v)
	}
}

func (r *reader) mapping(n *yaml.Node, field string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		r.at(n, field, "not a mapping")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, name := n.Content[i], join(field, n.Content[i].Value)
		if line, ok := seen[key.Value]; ok {
			r.at(key, name, "is there twice, first on line %d", line)
			continue
		}
		seen[key.Value] = key.Line
		if to, ok := member(v, key.Value); ok {
			r.value(n.Content[i+1], name, to)
		} else {
			r.at(key, name, "not known; there are %s", strings.Join(members(v.Type()), ", "))
		}
	}
}

func (r *reader) list(n *yaml.Node, field string, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		r.at(n, field, "not a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		r.value(item, fmt.Sprintf("%s[%d]", field, i), v.Index(i))
	}
}

func (r *reader) scalar(n *yaml.Node, field string, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		r.at(n, field, "not a single value")
		return
	}
	if err := set(n.Value, v); err != nil {
		r.at(n, field, "%v", err)
	}
}

func set(s string, v reflect.Value) error {
	switch to := v.Addr().Interface().(type) {
	case *time.Duration: // before numbers: 30 is no duration
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is no duration such as 30s or 10m", s)
		}
		*to = d
		return nil
	case encoding.TextUnmarshaler:
		return to.UnmarshalText([]byte(s))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		if s != "true" && s != "false" {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		v.SetBool(s == "true")
	case reflect.Int:
		i, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return fmt.Errorf("%q is no number", s)
		}
		v.SetInt(i)
	case reflect.Uint16, reflect.Uint32:
		u, err := strconv.ParseUint(s, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is no number from 0 to %d", s, uint64(1)<<v.Type().Bits()-1)
		}
		v.SetUint(u)
	default:
		return fmt.Errorf("a %s cannot be read", v.Type())
	}
	return nil
}

// member is the field of a struct that a key means.
func member(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if nameOf(v.Type().Field(i)) == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func members(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		names = append(names, nameOf(t.Field(i)))
	}
	return names
}

// nameOf is a field's in the file: its tag's, or for a struct of the library's, in lower case.
func nameOf(f reflect.StructField) string {
	if tag := f.Tag.Get("yaml"); tag != "" {
		return tag
	}
	return strings.ToLower(f.Name)
}

func join(field, key string) string {
	if field == "" {
		return key
	}
	return field + "." + key
}

// find is where a field is, or the last thing on the way to it.
func find(n *yaml.Node, field string) *yaml.Node {
	for _, step := range strings.FieldsFunc(field, func(c rune) bool { return strings.ContainsRune(".[]", c) }) {
		next := child(n, step)
		if next == nil {
			break
		}
		n = next
	}
	return n
}

func child(n *yaml.Node, step string) *yaml.Node {
	if n == nil {
		return nil
	}
	if i, err := strconv.Atoi(step); err == nil && n.Kind == yaml.SequenceNode && i < len(n.Content) {
		return n.Content[i]
	}
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

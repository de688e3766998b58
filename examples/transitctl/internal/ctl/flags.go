// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// flag is a flag that fills a field.
type flag struct {
	name  string
	path  string // of the field
	usage string
	keys  string // the noun whose keys it takes, for completion
	// set does what a path does not say: a field that is written in a shorthand of its own.
	set func(m proto.Message, text string) error
}

// value is a flag's value: it is checked when it is read, and set later.
type value struct {
	flag
	fd    protoreflect.FieldDescriptor
	texts []string
}

// String is what the flag says.
func (v *value) String() string { return strings.Join(v.texts, ",") }

// Type is what help calls the value.
func (v *value) Type() string {
	switch {
	case v.fd == nil:
		return "value"
	case v.fd.Kind() == protoreflect.BoolKind:
		return "bool"
	case v.fd.Kind() == protoreflect.EnumKind:
		return strings.Join(enumWords(v.fd.Enum()), "|")
	case v.fd.IsList():
		return v.one() + ",..."
	}
	return v.one()
}

func (v *value) one() string {
	if v.fd.Kind() == protoreflect.StringKind {
		return "text"
	}
	return "number"
}

// Set reads the flag: once, or again and again where it fills a list.
func (v *value) Set(text string) error {
	texts := []string{text}
	many := v.fd != nil && v.fd.IsList()
	if many {
		texts = strings.Split(text, ",")
	}
	for _, t := range texts {
		if v.fd != nil {
			if _, err := parse(v.fd, t); err != nil {
				return err
			}
		}
	}
	if many || v.set != nil {
		v.texts = append(v.texts, texts...)
	} else {
		v.texts = texts
	}
	return nil
}

// fill sets the field, if the flag was given.
func (v *value) fill(m proto.Message) error {
	for _, t := range v.texts {
		var err error
		if v.set != nil {
			err = v.set(m, t)
		} else {
			err = put(m.ProtoReflect(), v.path, t)
		}
		if err != nil {
			return usagef("--%s: %w", v.name, err)
		}
	}
	return nil
}

// values gives a command flags for fields of a message.
func (c *cli) values(cmd *cobra.Command, of proto.Message, flags []flag) []*value {
	var all []*value
	for _, f := range flags {
		v := &value{flag: f}
		if f.set == nil {
			v.fd = field(of.ProtoReflect().Descriptor(), f.path)
			if v.fd == nil {
				panic(fmt.Sprintf("no field %s in %s", f.path, of.ProtoReflect().Descriptor().Name())) // our own table
			}
		}
		added := cmd.Flags().VarPF(v, f.name, "", f.usage)
		switch {
		case f.keys != "":
			_ = cmd.RegisterFlagCompletionFunc(f.name, c.completeFlag(f.keys))
		case v.fd == nil:
			_ = cmd.RegisterFlagCompletionFunc(f.name, cobra.NoFileCompletions)
		case v.fd.Kind() == protoreflect.BoolKind:
			added.NoOptDefVal = "true"
		case v.fd.Kind() == protoreflect.EnumKind:
			_ = cmd.RegisterFlagCompletionFunc(f.name, cobra.FixedCompletions(enumWords(v.fd.Enum()), cobra.ShellCompDirectiveNoFileComp))
		default:
			_ = cmd.RegisterFlagCompletionFunc(f.name, cobra.NoFileCompletions)
		}
		all = append(all, v)
	}
	return all
}

// fill sets all fields whose flags were given.
func fill(m proto.Message, values []*value) error {
	for _, v := range values {
		if err := v.fill(m); err != nil {
			return err
		}
	}
	return nil
}

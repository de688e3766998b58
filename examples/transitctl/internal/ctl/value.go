// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// parse reads a scalar as people and protojson write it.
func parse(fd protoreflect.FieldDescriptor, text string) (protoreflect.Value, error) {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text), nil
	case protoreflect.BoolKind:
		switch text {
		case "true", "false":
			return protoreflect.ValueOfBool(text == "true"), nil
		}
		return protoreflect.Value{}, fmt.Errorf("neither true nor false: %q", text)
	case protoreflect.Uint32Kind:
		n, err := strconv.ParseUint(text, 0, 32)
		return protoreflect.ValueOfUint32(uint32(n)), numberError(text, err)
	case protoreflect.Uint64Kind:
		n, err := strconv.ParseUint(text, 0, 64)
		return protoreflect.ValueOfUint64(n), numberError(text, err)
	case protoreflect.BytesKind:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return protoreflect.Value{}, errors.New("not base64")
		}
		return protoreflect.ValueOfBytes(b), nil
	case protoreflect.EnumKind:
		n, err := parseEnum(fd.Enum(), text)
		return protoreflect.ValueOfEnum(n), err
	}
	return protoreflect.Value{}, fmt.Errorf("no plain value can be given for %s", fd.Kind())
}

func numberError(text string, err error) error {
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("too large: %s", text)
	} else if err != nil {
		return fmt.Errorf("not a number from 0: %q", text)
	}
	return nil
}

// enumWords are an enum's names as people write them: local-endpoint for KIND_LOCAL_ENDPOINT. The first, which is
// always the unspecified one, is left out.
func enumWords(e protoreflect.EnumDescriptor) []string {
	var words []string
	for i := 1; i < e.Values().Len(); i++ {
		words = append(words, enumWord(e, e.Values().Get(i).Number()))
	}
	return words
}

func enumWord(e protoreflect.EnumDescriptor, n protoreflect.EnumNumber) string {
	v := e.Values().ByNumber(n)
	if v == nil {
		return strconv.Itoa(int(n)) // of a later version of the API
	}
	prefix := strings.TrimSuffix(string(e.Values().Get(0).Name()), "UNSPECIFIED")
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(string(v.Name()), prefix)), "_", "-")
}

func parseEnum(e protoreflect.EnumDescriptor, text string) (protoreflect.EnumNumber, error) {
	for i := range e.Values().Len() {
		v := e.Values().Get(i)
		if text == string(v.Name()) || i > 0 && strings.EqualFold(text, enumWord(e, v.Number())) {
			return v.Number(), nil
		}
	}
	return 0, fmt.Errorf("%q is none of %s", text, strings.Join(enumWords(e), ", "))
}

// word is the name of an enum's value as people write it.
func word(e protoreflect.Enum) string { return enumWord(e.Descriptor(), e.Number()) }

// find follows a path such as status.mtu. It is not there if a message on the way is not, or it has no such field.
func find(m protoreflect.Message, path string) (protoreflect.FieldDescriptor, protoreflect.Value, bool) {
	name, rest, deeper := strings.Cut(path, ".")
	fd := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	switch {
	case fd == nil:
		return nil, protoreflect.Value{}, false
	case !deeper:
		return fd, m.Get(fd), true
	case !m.Has(fd):
		return nil, protoreflect.Value{}, false
	}
	return find(m.Get(fd).Message(), rest)
}

// field finds the descriptor of a path in a kind of message.
func field(d protoreflect.MessageDescriptor, path string) protoreflect.FieldDescriptor {
	name, rest, deeper := strings.Cut(path, ".")
	fd := d.Fields().ByName(protoreflect.Name(name))
	if fd == nil || !deeper {
		return fd
	}
	return field(fd.Message(), rest)
}

// put sets a field by its path, and makes the messages on the way. A list gets one more.
func put(m protoreflect.Message, path, text string) error {
	name, rest, deeper := strings.Cut(path, ".")
	fd := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	if deeper {
		return put(m.Mutable(fd).Message(), rest, text)
	}
	v, err := parse(fd, text)
	switch {
	case err != nil:
		return err
	case fd.IsList():
		m.Mutable(fd).List().Append(v)
	default:
		m.Set(fd, v)
	}
	return nil
}

// show has a field's value for a table; empty where there is nothing to say.
func show(m proto.Message, path string) string {
	fd, v, ok := find(m.ProtoReflect(), path)
	switch {
	case !ok:
		return ""
	case fd.IsList():
		var all []string
		for i := range v.List().Len() {
			all = append(all, showOne(fd, v.List().Get(i)))
		}
		return strings.Join(all, ",")
	}
	return showOne(fd, v)
}

func showOne(fd protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		if v.Bool() {
			return "yes"
		}
		return ""
	case protoreflect.EnumKind:
		if v.Enum() == 0 {
			return ""
		}
		return enumWord(fd.Enum(), v.Enum())
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		// Zero is as a rule "not set"; counts have a column of their own kind.
		if v.Uint() == 0 {
			return ""
		}
	case protoreflect.BytesKind:
		return hex.EncodeToString(v.Bytes())
	case protoreflect.MessageKind:
		switch m := v.Message().Interface().(type) {
		case *durationpb.Duration:
			return duration(m)
		case *timestamppb.Timestamp:
			return timestamp(m)
		case *v1.FunctionMap:
			return m.GetName()
		}
	}
	return v.String()
}

// duration has as many digits as one reads.
func duration(d *durationpb.Duration) string {
	if d == nil {
		return ""
	}
	switch d := d.AsDuration(); {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

func timestamp(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Local().Format("2006-01-02 15:04:05.000")
}

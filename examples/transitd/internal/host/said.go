// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// said is what a field says, as a file that is applied has it: protobuf's own text of a list is where it is in memory,
// and of an enum its number.
func said(m protoreflect.Message, f protoreflect.FieldDescriptor) string {
	v := m.Get(f)
	switch {
	case f.IsList():
		var all []string
		for i := range v.List().Len() {
			all = append(all, saidOne(f, v.List().Get(i)))
		}
		return "[" + strings.Join(all, ", ") + "]"
	case f.IsMap():
		return fmt.Sprintf("%d of them", v.Map().Len()) // a function's variables: bytes
	case !m.Has(f) && f.Kind() != protoreflect.BoolKind:
		return "none"
	}
	return saidOne(f, v)
}

func saidOne(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch f.Kind() {
	case protoreflect.EnumKind:
		if n := f.Enum().Values().ByNumber(v.Enum()); n != nil {
			return string(n.Name())
		}
	case protoreflect.MessageKind:
		return saidMessage(v.Message().Interface())
	}
	return v.String()
}

// saidMessage is a message in one line, without the spaces that protojson varies at will.
func saidMessage(m proto.Message) string {
	var b bytes.Buffer
	text, err := protojson.Marshal(m)
	if err == nil {
		err = json.Compact(&b, text)
	}
	if err != nil {
		return err.Error()
	}
	return b.String()
}

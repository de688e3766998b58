// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/hex"
	"hash/fnv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The fields that all resources have, or some: not part of what is asked for.
const (
	etagField   = protoreflect.Name("etag")
	statusField = protoreflect.Name("status")
)

func field(m proto.Message, name protoreflect.Name) protoreflect.FieldDescriptor {
	return m.ProtoReflect().Descriptor().Fields().ByName(name)
}

func etagOf(m proto.Message) string {
	return m.ProtoReflect().Get(field(m, etagField)).String()
}

func setEtag(m proto.Message, etag string) {
	m.ProtoReflect().Set(field(m, etagField), protoreflect.ValueOfString(etag))
}

// bare is a copy of what was asked for: without etag and status.
func bare[M proto.Message](m M) M {
	m = proto.CloneOf(m)
	m.ProtoReflect().Clear(field(m, etagField))
	if f := field(m, statusField); f != nil {
		m.ProtoReflect().Clear(f)
	}
	return m
}

// sum is of what a bare message says. Etags are made of it: they have to be the same after a restart.
func sum(m proto.Message) uint64 {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic("a message that was unmarshalled: " + err.Error()) // only invalid UTF-8, which unmarshalling refuses
	}
	h := fnv.New64a()
	h.Write([]byte(m.ProtoReflect().Descriptor().FullName()))
	h.Write(raw)
	return h.Sum64()
}

func etag(sum uint64) string {
	var b [8]byte
	for i := range b {
		b[i] = byte(sum >> (8 * (7 - i)))
	}
	return hex.EncodeToString(b[:])
}

// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// Change is what a host shall be like from now on, as far as it changes.
type Change struct {
	Put    *pb.State // resources that are added, or replaced; nil: none
	Remove *pb.State // resources that go: only what makes up their keys counts; nil: none
}

// What a frame is.
const (
	whole byte = 'W' // it starts from nothing
	begin byte = 'B'
	end   byte = 'E' // of the last begun; it may bring a change of its own: how that ended
)

// magic is the frames' version.
const magic = "MZJ2"

// A frame's header: magic, the length of its body, how much of the file was on disk when the frame was written, the
// body's CRC, and the header's own. A length that is damaged must not pass for a frame that was cut off.
const (
	atLength   = len(magic)
	atSynced   = atLength + 4
	atBody     = atSynced + 8
	atHeader   = atBody + 4
	headerSize = atHeader + 4
)

// maxFrame is more than a frame of a million endpoints is.
const maxFrame = 1 << 30

func encode(kind byte, c Change, synced int64) ([]byte, error) {
	buf := make([]byte, headerSize, 4096)
	buf = append(buf, kind)
	for _, s := range []*pb.State{c.Put, c.Remove} {
		if s == nil {
			s = &pb.State{}
		}
		size := proto.Size(s)
		buf = binary.AppendUvarint(buf, uint64(size))
		var err error
		if buf, err = (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend(buf, s); err != nil {
			return nil, err
		}
	}
	body := buf[headerSize:]
	if len(body) > maxFrame {
		return nil, fmt.Errorf("%d bytes are too many", len(body))
	}
	copy(buf, magic)
	binary.BigEndian.PutUint32(buf[atLength:], uint32(len(body)))
	binary.BigEndian.PutUint64(buf[atSynced:], uint64(synced))
	binary.BigEndian.PutUint32(buf[atBody:], checksum(body))
	binary.BigEndian.PutUint32(buf[atHeader:], checksum(buf[:atHeader]))
	return buf, nil
}

// frame is one that is whole.
type frame struct {
	body   []byte
	size   int   // with its header
	synced int64 // that much was on disk before it
}

// next takes the first frame of raw, if it is whole.
func next(raw []byte) (f frame, ok bool) {
	if len(raw) < headerSize || string(raw[:len(magic)]) != magic ||
		checksum(raw[:atHeader]) != binary.BigEndian.Uint32(raw[atHeader:]) {
		return f, false
	}
	size := int(binary.BigEndian.Uint32(raw[atLength:]))
	if size > maxFrame || len(raw) < headerSize+size {
		return f, false
	}
	f = frame{body: raw[headerSize:][:size], size: headerSize + size, synced: int64(binary.BigEndian.Uint64(raw[atSynced:]))}
	return f, checksum(f.body) == binary.BigEndian.Uint32(raw[atBody:])
}

// decode reads a frame that is whole.
func (f frame) decode() (kind byte, c Change, err error) {
	body := f.body
	if len(body) == 0 {
		return 0, c, errors.New("an empty frame")
	}
	kind, body = body[0], body[1:]
	for _, s := range []**pb.State{&c.Put, &c.Remove} {
		l, k := binary.Uvarint(body)
		if k <= 0 || l > uint64(len(body)-k) {
			return 0, c, errors.New("a frame that does not add up")
		}
		*s = &pb.State{}
		if err := proto.Unmarshal(body[k:][:l], *s); err != nil {
			return 0, c, err
		}
		body = body[k+int(l):]
	}
	return kind, c, nil
}

// lost tells whether what is no whole frame, at a place of a file, had been on disk: whether a frame behind it says
// so. Else it was being written when the power went, and blocks come to the disk in any order.
func lost(raw []byte, at int) bool {
	for i := at + 1; i < len(raw); i++ {
		n := bytes.Index(raw[i:], []byte(magic))
		if n < 0 {
			return false
		}
		i += n
		if f, ok := next(raw[i:]); ok && f.synced > int64(at) {
			return true
		}
	}
	return false
}

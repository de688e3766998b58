// SPDX-License-Identifier: Apache-2.0

package journal

import (
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
const magic = "MZJ1"

// headerSize is of magic, the length of what follows, and its CRC.
const headerSize = len(magic) + 4 + 4

// maxFrame is more than a frame of a million endpoints is.
const maxFrame = 1 << 30

var errShort = errors.New("cut off")

func encode(kind byte, c Change) ([]byte, error) {
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
	binary.BigEndian.PutUint32(buf[len(magic):], uint32(len(body)))
	binary.BigEndian.PutUint32(buf[len(magic)+4:], checksum(body))
	return buf, nil
}

// decode takes the first frame of raw, and says how long it is.
func decode(raw []byte) (kind byte, c Change, n int, err error) {
	if len(raw) < headerSize {
		return 0, c, 0, errShort
	}
	if string(raw[:len(magic)]) != magic {
		return 0, c, 0, errors.New("not a frame")
	}
	size := int(binary.BigEndian.Uint32(raw[len(magic):]))
	if size > maxFrame {
		return 0, c, 0, errors.New("a frame too long")
	}
	if len(raw) < headerSize+size {
		return 0, c, 0, errShort
	}
	body := raw[headerSize:][:size]
	n = headerSize + size
	if checksum(body) != binary.BigEndian.Uint32(raw[len(magic)+4:]) {
		if n == len(raw) {
			return 0, c, 0, errShort // its blocks came to the disk in another order than its length
		}
		return 0, c, 0, errors.New("a frame with a wrong checksum")
	}
	if len(body) == 0 {
		return 0, c, 0, errors.New("an empty frame")
	}
	kind, body = body[0], body[1:]
	for _, s := range []**pb.State{&c.Put, &c.Remove} {
		l, k := binary.Uvarint(body)
		if k <= 0 || l > uint64(len(body)-k) {
			return 0, c, 0, errors.New("a frame that does not add up")
		}
		*s = &pb.State{}
		if err := proto.Unmarshal(body[k:][:l], *s); err != nil {
			return 0, c, 0, err
		}
		body = body[k+int(l):]
	}
	return kind, c, n, nil
}

// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"compress/gzip"
	"errors"
	"io"

	"connectrpc.com/connect"
)

var errTooLarge = errors.New("larger than a message may be")

// unpacker unpacks so much and no more. Connect (1.21) bounds what it keeps of a packed message, but unpacks the
// rest as well, to tell its size: of the 64 MiB that a message may have, that makes 64 GiB, and minutes.
type unpacker struct {
	gzip.Reader
	most, left int64
}

// gzipUpTo is gzip for messages of so many bytes.
func gzipUpTo(most int) connect.HandlerOption {
	return connect.WithCompression("gzip",
		func() connect.Decompressor { return &unpacker{most: int64(most)} },
		func() connect.Compressor { return gzip.NewWriter(io.Discard) })
}

func (u *unpacker) Reset(r io.Reader) error {
	u.left = u.most + 1 // one more tells that it is too large
	return u.Reader.Reset(r)
}

func (u *unpacker) Read(b []byte) (int, error) {
	if u.left <= 0 {
		return 0, errTooLarge
	}
	n, err := u.Reader.Read(b[:min(int64(len(b)), u.left)])
	u.left -= int64(n)
	return n, err
}

// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"crypto/sha256"
	"encoding/binary"
)

// Build names the programs that this library holds: another build of them has another number. Never 0.
func Build() uint64 {
	h := sha256.New()
	h.Write(_XDPBytes)
	h.Write(_TCXBytes)
	return binary.LittleEndian.Uint64(h.Sum(nil)) | 1
}

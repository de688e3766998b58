// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Diff tells where two packets differ, and shows both. Empty: they do not.
func Diff(want, got []byte) string {
	if bytes.Equal(want, got) {
		return ""
	}
	at := 0
	for at < len(want) && at < len(got) && want[at] == got[at] {
		at++
	}
	return fmt.Sprintf("packets differ at byte %d:\n%s\n%s", at, dump("want", want), dump("got", got))
}

func dump(name string, b []byte) string {
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	return fmt.Sprintf("%s: %v\n%s", name, p, hex.Dump(b))
}

// WithoutMACs is a copy of the packet with the outermost MACs zero, for where the kernel writes them.
func WithoutMACs(b []byte) []byte {
	b = bytes.Clone(b)
	clear(b[:min(12, len(b))])
	return b
}

// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/gopacket/gopacket"
)

// minFrame is what a network device fills frames up to. Longer ones have no padding.
const minFrame = 60

// Verify checks every length and checksum of the packet, and of the frame inside. UDP over IPv6 may be
// without a checksum only where it carries a tunnel (RFC 6936). The L4 of a fragment is not checked.
func (d Decoded) Verify() error {
	err := d.Outer.verify(d.Tunnel())
	if d.Tunnel() {
		if inner := d.Inner.verify(false); inner != nil {
			err = errors.Join(err, fmt.Errorf("inner: %w", inner))
		}
	}
	return err
}

func (f *Frame) verify(tunnel bool) error {
	var errs []error
	if len(f.Padding) > 0 && len(f.Bytes) > minFrame {
		errs = append(errs, fmt.Errorf("%d bytes behind the packet", len(f.Padding)))
	}
	if f.IPv4 != nil {
		errs = append(errs, verifyChecksum("ipv4", f.IPv4))
		if binary.BigEndian.Uint16(f.IPv4.Contents[2:]) == 0 { // gopacket takes it for a segmented packet's
			errs = append(errs, errors.New("ipv4: total length 0"))
		}
	}
	if !f.partial() {
		errs = append(errs, f.verifyL4(tunnel))
	}
	return errors.Join(errs...)
}

func (f *Frame) verifyL4(tunnel bool) error {
	var network gopacket.NetworkLayer
	switch {
	case f.IPv4 != nil:
		network = f.IPv4
	case f.IPv6 != nil:
		network = f.IPv6
	}
	switch {
	case f.UDP != nil:
		if int(f.UDP.Length) != len(f.l4) {
			return fmt.Errorf("udp: length %d of %d", f.UDP.Length, len(f.l4))
		}
		if f.UDP.Checksum == 0 {
			if f.IPv6 != nil && !tunnel {
				return errors.New("udp: no checksum over IPv6")
			}
			return nil
		}
		return verifyOver(network, "udp", f.UDP)
	case f.TCP != nil:
		return verifyOver(network, "tcp", f.TCP)
	case f.SCTP != nil:
		b := append([]byte{}, f.l4...)
		clear(b[8:12])
		want := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
		if got := binary.LittleEndian.Uint32(f.l4[8:]); got != want {
			return fmt.Errorf("sctp: checksum %#08x, not %#08x", got, want)
		}
	case f.ICMP != nil:
		return verifyChecksum("icmp", f.ICMP)
	case f.ICMPv6 != nil:
		return verifyOver(network, "icmpv6", f.ICMPv6)
	}
	return nil
}

type checksummed interface {
	VerifyChecksum() (error, gopacket.ChecksumVerificationResult)
}

func verifyOver(network gopacket.NetworkLayer, name string, l interface {
	checksummed
	SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
}) error {
	if err := l.SetNetworkLayerForChecksum(network); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return verifyChecksum(name, l)
}

func verifyChecksum(name string, l checksummed) error {
	err, result := l.VerifyChecksum()
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case !result.Valid:
		return fmt.Errorf("%s: checksum %#04x, not %#04x", name, result.Actual, result.Correct)
	}
	return nil
}

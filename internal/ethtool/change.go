// SPDX-License-Identifier: Apache-2.0

package ethtool

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// recorded are the features that a mask can speak of, each by its place. Masks are stored in pinned
// tables: names are added at the end, never moved or removed.
var recorded = [...]string{
	"tx-checksum-ip-generic",
	"tx-checksum-ipv4",
	"tx-checksum-ipv6",
	"tx-checksum-sctp",
	"tx-scatter-gather",
	"tx-scatter-gather-fraglist",
	"tx-generic-segmentation",
	"tx-tcp-segmentation",
	"tx-tcp6-segmentation",
	"tx-tcp-ecn-segmentation",
	"tx-tcp-mangleid-segmentation",
	"tx-tcp-accecn-segmentation",
	"tx-udp-segmentation",
	"tx-sctp-segmentation",
	"tx-gre-segmentation",
	"tx-gre-csum-segmentation",
	"tx-ipxip4-segmentation",
	"tx-ipxip6-segmentation",
	"tx-udp_tnl-segmentation",
	"tx-udp_tnl-csum-segmentation",
	"tx-tunnel-remcsum-segmentation",
	"tx-esp-segmentation",
	"tx-gso-partial",
	"tx-gso-list",
	"tx-gso-robust",
	"rx-checksum",
	"rx-gro",
	"rx-gro-hw",
	"rx-gro-list",
	"rx-udp-gro-forwarding",
	"rx-lro",
	"tx-vlan-hw-insert",
	"tx-vlan-stag-hw-insert",
	"rx-vlan-hw-parse",
	"rx-vlan-stag-hw-parse",
	"rx-vlan-filter",
	"rx-vlan-stag-filter",
	"tx-fcoe-segmentation",
	"tx-checksum-fcoe-crc",
	"rx-hashing",
	"rx-ntuple-filter",
}

// Mask is a set of features that outlives the process: bit i is the i-th of a list that only grows.
type Mask = [2]uint64

// Plan says what [Set] would change, without doing it: mask has the features, was those among them that
// are wanted now. [Restore] takes both. Who stores them before Set can be killed at any time.
func Plan(name string, want map[string]bool) (mask, was Mask, err error) {
	have, err := Get(name)
	if err != nil {
		return Mask{}, Mask{}, err
	}
	before := have.differing(want)
	for i, n := range recorded {
		if on, ok := before[n]; ok {
			mask[i/64] |= 1 << (i % 64)
			if on {
				was[i/64] |= 1 << (i % 64)
			}
			delete(before, n)
		}
	}
	for n := range before {
		return Mask{}, Mask{}, fmt.Errorf("change %s of %s: not a feature that can be recorded: %w", n, name, unix.EINVAL)
	}
	return mask, was, nil
}

// Change is [Plan] and [Set] in one.
func Change(name string, want map[string]bool) (mask, was Mask, err error) {
	if mask, was, err = Plan(name, want); err != nil {
		return Mask{}, Mask{}, err
	}
	if err := Set(name, want); err != nil {
		return Mask{}, Mask{}, err
	}
	return mask, was, nil
}

// Restore puts back what [Change] changed. A device that is gone is fine.
func Restore(name string, mask, was Mask) error {
	want := make(map[string]bool)
	for i, n := range recorded {
		if mask[i/64]>>(i%64)&1 != 0 {
			want[n] = was[i/64]>>(i%64)&1 != 0
		}
	}
	if len(want) == 0 {
		return nil
	}
	d, err := open(name)
	if err != nil {
		return err
	}
	defer d.close()
	names, err := d.features()
	if err == nil {
		// Wishes are put back, not effects: those may depend on what others do.
		err = d.request(names, want)
	}
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("restore features: %w", err)
	}
	return nil
}

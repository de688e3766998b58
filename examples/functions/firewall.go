// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/mizar-go/mizar/dataplane"
	"golang.org/x/sys/unix"
)

// Port is what a rule opens.
type Port struct {
	Protocol uint8
	Number   uint16 // 0: of a protocol without ports
}

func UDP(number uint16) Port { return Port{unix.IPPROTO_UDP, number} }
func TCP(number uint16) Port { return Port{unix.IPPROTO_TCP, number} }

// Firewall is a stateless firewall of one VPC, for stage deliver. It lets through what a rule allows, and no answers
// but those: it does not know what was asked.
type Firewall struct {
	*dataplane.Function
	vni uint32
}

// NewFirewall loads it, without rules: once it is in a chain, nothing gets through.
func NewFirewall(ctx context.Context, dp *dataplane.Dataplane, name string, vni uint32) (*Firewall, error) {
	spec, err := loadFirewall()
	if err != nil {
		return nil, err
	}
	f, err := dp.Function.Load(ctx, name, spec)
	if err != nil {
		return nil, err
	}
	return &Firewall{f, vni}, nil
}

// Allow lets sources of a prefix send to these ports, and nothing else; without any: to all, by all protocols. The
// longest prefix counts, and it alone. It takes the place of what the prefix was allowed, from the next packet on.
//
// A fragment has no ports. It is dropped where the rule has them.
func (f *Firewall) Allow(from netip.Prefix, ports ...Port) error {
	key, err := f.key(from)
	if err != nil {
		return err
	}
	var rule firewallRule
	if len(ports) == 0 {
		rule.Any = 1
	}
	if len(ports) > len(rule.Ports) {
		return fmt.Errorf("allow %v: %d ports, not up to %d", from, len(ports), len(rule.Ports))
	}
	for i, p := range ports {
		if p.Number == 0 && hasPorts(p.Protocol) {
			return fmt.Errorf("allow %v: protocol %d without a port", from, p.Protocol)
		}
		rule.Ports[i].Proto, rule.Ports[i].Number = p.Protocol, p.Number
	}
	rule.Count = uint32(len(ports))
	if err := f.Maps[firewallMapRules].Put(key, rule); err != nil {
		return fmt.Errorf("allow %v: %w", from, err)
	}
	return nil
}

// Deny takes a rule away.
func (f *Firewall) Deny(from netip.Prefix) error {
	key, err := f.key(from)
	if err != nil {
		return err
	}
	if err := f.Maps[firewallMapRules].Delete(key); err != nil {
		return fmt.Errorf("deny %v: %w", from, err)
	}
	return nil
}

// Rules counts them.
func (f *Firewall) Rules() (count int, err error) {
	var key firewallSource
	var rule firewallRule
	rows := f.Maps[firewallMapRules].Iterate()
	for rows.Next(&key, &rule) {
		count++
	}
	return count, rows.Err()
}

func (f *Firewall) key(p netip.Prefix) (key firewallSource, err error) {
	if !p.IsValid() || p.Addr().Is4In6() {
		return key, fmt.Errorf("prefix %v: not one", p)
	}
	p = p.Masked()
	key.Vni = f.vni
	key.Addr.Bytes = p.Addr().As16()
	key.Prefixlen = 8 * (4 + 4 + 16)
	key.Prefixlen -= uint32(p.Addr().BitLen() - p.Bits())
	if p.Addr().Is6() {
		key.V6 = 1
	}
	return key, nil
}

func hasPorts(protocol uint8) bool {
	switch protocol {
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_SCTP, unix.IPPROTO_UDPLITE:
		return true
	}
	return false
}

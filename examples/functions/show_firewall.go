// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/mizar-go/mizar/dataplane"
)

// showFirewall has b1 guarded, against what comes by IPv4 and IPv6, whole and in fragments.
func showFirewall(ctx context.Context, w *world, out io.Writer) (err error) {
	fw, err := NewFirewall(ctx, w.b.dp, "firewall", vni)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unload(ctx, w.b.dp, dataplane.StageDeliver, w.b1.scope(), fw.Function)) }()
	a1, a2 := netip.PrefixFrom(w.a1.v4, 32), netip.PrefixFrom(w.a2.v4, 32)
	if err := errors.Join(
		fw.Allow(a1, UDP(53)),
		fw.Allow(netip.MustParsePrefix("2001:db8::/120"), UDP(53)),
		w.b.dp.Stage.Set(ctx, dataplane.StageDeliver, w.b1.scope(), "firewall"),
	); err != nil {
		return err
	}
	fmt.Fprintf(out, "firewall: b1 takes UDP to port 53 from a1, and nothing else\n")
	const big = 3000 // bytes: three fragments
	for _, f := range []flow{
		{name: "a1 → b1:53", from: w.a1, to: w.b1.v4, port: 53},
		{name: "a1 → b1:80", from: w.a1, to: w.b1.v4, port: 80, lost: "firewall.closed"},
		{name: "a2 → b1:53", from: w.a2, to: w.b1.v4, port: 53, lost: "firewall.closed"},
		{name: "a1 → b1:53, IPv6", from: w.a1, to: w.b1.v6, port: 53},
		{name: "a1 → b1:80, IPv6", from: w.a1, to: w.b1.v6, port: 80, lost: "firewall.closed"},
		{name: "a1 → b1:53, in fragments", from: w.a1, to: w.b1.v4, port: 53, size: big, frames: 3, lost: "firewall.fragment"},
		{name: "a1 → b1:53, IPv6 in fragments", from: w.a1, to: w.b1.v6, port: 53, size: big, frames: 3, lost: "firewall.fragment"},
	} {
		result, err := w.try(ctx, f, 50)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %-30s %s\n", f.name, result)
	}
	return changeRules(ctx, w, fw, a2, out)
}

// changeRules lets a2 in and out while it sends. Each of its packets arrives or is counted as dropped.
func changeRules(ctx context.Context, w *world, fw *Firewall, a2 netip.Prefix, out io.Writer) (err error) {
	in, err := listen(w.b1.Namespace, 53)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	o, err := dial(w.a2.Namespace, w.b1.v4, 53, 100)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	before, err := w.dropped(ctx, "firewall.closed")
	if err != nil {
		return err
	}
	const changes, some = 10, 20
	s := o.start(ctx, 2000)
	defer func() { err = errors.Join(err, s.end()) }()
	var lost uint64
	look := func() error {
		now, err := w.dropped(ctx, "firewall.closed")
		lost = now - before
		return errors.Join(err, in.count())
	}
	for i := range changes {
		open := i%2 == 0
		if open {
			err = fw.Allow(a2)
		} else {
			err = fw.Deny(a2)
		}
		if err := errors.Join(err, look()); err != nil {
			return err
		}
		arrived, dropped := in.packets, lost
		if err := await(ctx, "a rule to work", func() (bool, error) {
			err := look()
			if open {
				return in.packets >= arrived+some, err
			}
			return lost >= dropped+some, err
		}); err != nil {
			return err
		}
	}
	if err := s.end(); err != nil {
		return err
	}
	if err := await(ctx, "the last of a2's datagrams", func() (bool, error) {
		err := look()
		return in.packets+lost == s.sent, err
	}); err != nil {
		return fmt.Errorf("%w: %d sent, %d arrived, %d dropped", err, s.sent, in.packets, lost)
	}
	fmt.Fprintf(out, "  %-30s %d of %d arrived, firewall.closed × %d\n",
		fmt.Sprintf("a2 → b1:53, rule changed %d ×", changes), in.packets, s.sent, lost)
	return nil
}

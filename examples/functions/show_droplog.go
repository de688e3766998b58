// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/mizar-go/mizar/dataplane"
)

// showDroplog loses packets in three ways.
func showDroplog(ctx context.Context, w *world, out io.Writer) (err error) {
	fmt.Fprintf(out, "droplog: who loses packets, and why\n")
	hosts := []*host{w.a, w.b}
	logs := make([]*Droplog, len(hosts))
	for i, h := range hosts {
		if logs[i], err = NewDroplog(ctx, h.dp, "droplog"); err != nil {
			return err
		}
		defer func() {
			err = errors.Join(err, unload(ctx, h.dp, dataplane.StageDrop, dataplane.Scope{}, logs[i].Function))
		}()
		if err := h.dp.Stage.Set(ctx, dataplane.StageDrop, dataplane.Scope{}, "droplog"); err != nil {
			return err
		}
	}
	fw, err := NewFirewall(ctx, w.b.dp, "firewall", vni)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unload(ctx, w.b.dp, dataplane.StageDeliver, w.b1.scope(), fw.Function)) }()
	if err := w.b.dp.Stage.Set(ctx, dataplane.StageDeliver, w.b1.scope(), "firewall"); err != nil {
		return err
	}
	const count = 20
	if _, err := w.try(ctx, flow{name: "a2 → b1:53", from: w.a2, to: w.b1.v4, port: 53, lost: "firewall.closed"}, count); err != nil {
		return err
	}
	forged, nobody := netip.MustParseAddr("10.0.0.77"), netip.MustParseAddr("10.0.0.99")
	if err := w.forge(forged, count); err != nil {
		return err
	}
	if err := w.call(nobody, count); err != nil {
		return err
	}
	for _, want := range []struct {
		host int
		Lost
	}{
		{0, Lost{VNI: vni, Source: forged, Destination: w.b1.v4, Name: "DROP_SPOOF_ADDRESS", Packets: count}},
		{0, Lost{VNI: vni, Source: w.a1.v4, Destination: nobody, Name: "DROP_NO_NETWORK", Packets: count}},
		{1, Lost{VNI: vni, Source: w.a2.v4, Destination: w.b1.v4, Name: "firewall.closed", Packets: count}},
	} {
		if err := logs[want.host].await(ctx, want.Lost); err != nil {
			return err
		}
		fmt.Fprintf(out, "  %-30s %s × %d\n", fmt.Sprintf("%s: %v → %v", hosts[want.host].Name, want.Source, want.Destination),
			want.Name, want.Packets)
	}
	return nil
}

// await waits until the log has that.
func (l *Droplog) await(ctx context.Context, want Lost) error {
	var all []Lost
	err := await(ctx, fmt.Sprintf("%v → %v %s × %d", want.Source, want.Destination, want.Name, want.Packets), func() (_ bool, err error) {
		all, err = l.Lost(ctx)
		return slices.ContainsFunc(all, func(d Lost) bool {
			return d.VNI == want.VNI && d.Source == want.Source && d.Destination == want.Destination &&
				d.Name == want.Name && d.Packets == want.Packets
		}), err
	})
	if err != nil {
		return fmt.Errorf("%w: there is %+v", err, all)
	}
	return nil
}

// forge has a1 send to b1 with an address that is not its own.
func (w *world) forge(from netip.Addr, count int) (err error) {
	t, err := newTap(w.a1.Namespace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	for range count {
		if err := t.send(w.a1.frame(packet{from: from, to: w.b1.v4, port: 53})); err != nil {
			return err
		}
	}
	return nil
}

// call has a1 send to an address.
func (w *world) call(to netip.Addr, count int) (err error) {
	o, err := dial(w.a1.Namespace, to, 53, 100)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	return o.send(count)
}

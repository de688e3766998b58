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

// showSwap changes a chain while packets run through: one firewall that has port 80 open, and one that has not.
func showSwap(ctx context.Context, w *world, out io.Writer) (err error) {
	const swaps = 20
	fmt.Fprintf(out, "swap: one firewall for another that closes port 80, %d ×, while a1 sends\n", swaps)
	names := []string{"open", "strict"}
	for i, ports := range [][]Port{{UDP(53), UDP(80)}, {UDP(53)}} {
		var fw *Firewall
		if fw, err = NewFirewall(ctx, w.b.dp, names[i], vni); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.b.dp.Function.Remove(ctx, names[i])) }()
		allowed := fw.Allow(netip.PrefixFrom(w.a1.v4, 32), ports...)
		if err := errors.Join(allowed, fw.Close()); err != nil {
			return err
		}
	}
	set := func(name string) error {
		return w.b.dp.Stage.Set(ctx, dataplane.StageDeliver, w.b1.scope(), name)
	}
	if err := set("open"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.b.dp.Stage.Clear(ctx, dataplane.StageDeliver, w.b1.scope())) }()
	var in [2]*inbox
	var streams [2]*stream
	for i, port := range []uint16{53, 80} {
		if in[i], err = listen(w.b1.Namespace, port); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, in[i].close()) }()
		var o *outbox
		if o, err = dial(w.a1.Namespace, w.b1.v4, port, 100); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.close()) }()
		streams[i] = o.start(ctx, 2000)
		defer func() { err = errors.Join(err, streams[i].end()) }()
	}
	for i := range swaps {
		if err := set(names[(i+1)%2]); err != nil {
			return err
		}
	}
	if err := errors.Join(streams[0].end(), streams[1].end()); err != nil {
		return err
	}
	var lost uint64
	if err := await(ctx, "the last datagrams", func() (_ bool, err error) {
		lost, err = w.dropped(ctx, "strict.closed")
		return in[0].packets == streams[0].sent && in[1].packets+lost == streams[1].sent,
			errors.Join(err, in[0].count(), in[1].count())
	}); err != nil {
		return fmt.Errorf("%w: to port 53 %d of %d arrived; to port 80 %d of %d, and %d were dropped", err,
			in[0].packets, streams[0].sent, in[1].packets, streams[1].sent, lost)
	}
	if lost == 0 || in[1].packets == 0 {
		return fmt.Errorf("to port 80 %d arrived, %d were dropped: one firewall was never there", in[1].packets, lost)
	}
	fmt.Fprintf(out, "  %-30s %d of %d arrived\n", "a1 → b1:53", in[0].packets, streams[0].sent)
	fmt.Fprintf(out, "  %-30s %d of %d arrived, strict.closed × %d\n", "a1 → b1:80", in[1].packets, streams[1].sent, lost)
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// traffic is a generator of frames for a hub, and a counter of those that come back.
//
// Frames come from the kernel itself, as XDP frames like those that a NIC's driver has: a socket could not
// send fast enough. All of it runs on one CPU, as veth hands a frame on within the call that sent it.
type traffic struct {
	hub      *hub
	generate *ebpf.Program
	count    *ebpf.Map
}

func newTraffic(ctx context.Context, u *undo, f forwarder) (_ *traffic, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("build %s: %w", f.title, err)
		}
	}()
	h, err := newHub(ctx, u, f)
	if err != nil {
		return nil, err
	}
	t := &traffic{hub: h}
	// A length that the generator can write in words. The datagram ends where its header says.
	h.frame = append(h.frame, make([]byte, -len(h.frame)&3)...)
	if t.generate, err = generating(h.frame, h.end.Index); err != nil {
		return nil, err
	}
	u.push(t.generate.Close)
	if t.count, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1}); err != nil {
		return nil, err
	}
	u.push(t.count.Close)
	sink, err := counting(t.count, h.back)
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	at, dev := h.far, h.end
	if h.swallow {
		at, dev = h.host, h.near
	}
	return t, u.attachXDP(at, link.XDPOptions{Program: sink, Interface: dev.Index})
}

// run gives packets a second that came back.
func (t *traffic) run(ctx context.Context, c cpus, long time.Duration) (each float64, err error) {
	flood := newFlood(t.generate, len(t.hub.frame))
	err = together(ctx, func(ctx context.Context) error {
		defer flood.stop()
		each, err = rate(ctx, long, t.received)
		return err
	}, thread{anyCPU, func(*atomic.Bool) error {
		defer close(flood.done) // also where it does not come to run
		if err := pin(0, c[0]); err != nil {
			return err
		}
		return within(t.hub.far, flood.run)
	}})
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", t.hub.of.title, err)
	}
	return each, nil
}

func (t *traffic) received() (all uint64, err error) {
	var each []uint64
	if err := t.count.Lookup(uint32(0), &each); err != nil {
		return 0, err
	}
	for _, n := range each {
		all += n
	}
	return all, nil
}

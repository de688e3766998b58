// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"
	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/maps"
)

// provisionRemote fills a table with endpoints of other hosts, and opens the data-plane again with them in.
func (b *bench) provisionRemote(ctx context.Context) error {
	rows := remoteEndpoints(b.endpoints)
	for range b.rounds {
		if err := b.fill(ctx, rows); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) fill(ctx context.Context, rows []maps.Endpoint) (err error) {
	var u undo
	defer func() { err = errors.Join(err, u.run()) }()
	ns, err := u.namespace("host")
	if err != nil {
		return err
	}
	c := dataplane.Config{
		Name: instance(rand.Text()[:8]), NetNS: ns.Path(),
		Limits: bpf.Limits{Endpoints: uint32(len(rows)) + 1024, Directs: 16384, Paths: 16384},
	}
	dp, err := dataplane.Open(ctx, c)
	if err != nil {
		return err
	}
	u.push(func() error { return destroy(dp) })
	empty, err := memory(c.Name)
	if err != nil {
		return err
	}
	start := time.Now()
	told := start
	if err := dp.Endpoint.AddAllFunc(ctx, rows, func(done int) {
		if time.Since(told) > time.Second/2 {
			told = time.Now()
			b.say("added %d of %d endpoints", done, len(rows))
		}
	}); err != nil {
		return err
	}
	b.took(addRate, millions, 2, float64(len(rows))/time.Since(start).Seconds()/1e6)
	full, err := memory(c.Name)
	if err != nil {
		return err
	}
	// All of the table, also what it took when it was empty: that was made for as many.
	b.took(memoryEach, octets, 0, float64(full)/float64(len(rows)))
	b.took(memoryGrowth, octets, 0, float64(full-empty)/float64(len(rows)))

	if err := dp.Close(); err != nil {
		return err
	}
	start = time.Now()
	reopened, err := dataplane.Open(context.WithoutCancel(ctx), c) // to be destroyed, also after Ctrl-C
	if err != nil {
		return err
	}
	b.took(openTime, millis, 1, float64(time.Since(start))/float64(time.Millisecond))
	dp = reopened
	return nil
}

// memory is what the kernel says that the table of endpoints takes, in bytes.
func memory(name string) (uint64, error) {
	pins, err := filepath.Glob(filepath.Join(dataplane.DefaultBPFFS, "mizar", name, "*", "*", bpf.TableMapEndpoints))
	if err != nil || len(pins) != 1 {
		return 0, errors.Join(err, errors.New("find the table of endpoints of "+name))
	}
	m, err := ebpf.LoadPinnedMap(pins[0], &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		return 0, err
	}
	n, ok := info.Memlock()
	if !ok {
		return 0, errors.New("the kernel does not tell what a map takes")
	}
	return n, nil
}

// remoteEndpoints are spread over a thousand hosts of a /8.
func remoteEndpoints(n int) []maps.Endpoint {
	rows := make([]maps.Endpoint, n)
	for i := range rows {
		rows[i] = maps.Endpoint{
			VNI:  vni,
			Addr: nth(netip.MustParseAddr("10.0.0.0"), i),
			Host: nth(netip.MustParseAddr("172.16.0.1"), i%1000),
		}
	}
	return rows
}

func nth(first netip.Addr, n int) netip.Addr {
	b := first.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(n))
	return netip.AddrFrom4(b)
}

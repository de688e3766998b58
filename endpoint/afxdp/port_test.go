// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"context"
	"net"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

func TestOpenErrors(t *testing.T) {
	r := newRig(t, 0)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	array, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, array.Close()) })
	for _, c := range []struct {
		name string
		ctx  context.Context
		c    Config
		want error
	}{
		{"no such interface", context.Background(), Config{Interface: "none0", NetNS: path(r.fn)}, maps.ErrNotFound},
		{"no such namespace", context.Background(), Config{Interface: "fn0", NetNS: "/none"}, maps.ErrNotFound},
		{"no namespace", context.Background(), Config{Interface: "fn0", NetNS: "/dev/null"}, maps.ErrInvalid},
		{"no such queue", context.Background(), Config{Queues: []int{0, 7}}, maps.ErrInvalid},
		{"zero copy on a veth", context.Background(), Config{ZeroCopy: true}, bpf.ErrNotSupported},
		{"no native XDP", context.Background(), Config{Interface: "lo", NetNS: path(r.fn), Mode: bpf.Native}, bpf.ErrNotSupported},
		{"map of something else", context.Background(), Config{Map: array}, maps.ErrInvalid},
		{"cancelled", cancelled, Config{}, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			testutil.Leaks(t)
			_, err := Open(c.ctx, r.config(c.c))
			require.ErrorIs(t, err, c.want)
		})
	}
	r.open(Config{}) // nothing is in the way
}

func TestOpenWithoutCapability(t *testing.T) {
	r := newRig(t, 0)
	testutil.In(t, r.fn, func() error {
		testutil.Without(t, unix.CAP_NET_RAW, func() {
			_, err := Open(context.Background(), Config{Interface: "fn0"})
			require.ErrorIs(t, err, bpf.ErrPermission)
		})
		return nil
	})
}

// Where the driver has no native XDP, generic serves, and Why says so.
func TestFallsBackToGeneric(t *testing.T) {
	r := newRig(t, 0)
	testutil.MTU(t, r.fn, 1500, "lo")
	p, _ := r.open(Config{Interface: "lo", NetNS: path(r.fn)})
	assert.Equal(t, bpf.Generic, p.Mode)
	assert.Contains(t, p.Why, "refused native XDP")
}

func TestOpenTwice(t *testing.T) {
	r := newRig(t, 0)
	p, _ := r.open(Config{})
	_, err := Open(context.Background(), r.config(Config{}))
	require.ErrorIs(t, err, maps.ErrExists)
	require.NoError(t, p.Close())
	r.open(Config{})
}

// All queues that are in use get a socket, and packets come in at any of them.
func TestQueues(t *testing.T) {
	r := newRig(t, 0)
	p, _ := r.open(Config{})
	require.Len(t, p.Sockets(), 1, "a veth has as many as CPUs, but uses one")

	testutil.In(t, r.host, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.NumRxQueues, attrs.NumTxQueues = "host1", 4, 4
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs, PeerName: "fn1", PeerNamespace: netlink.NsFd(r.fn.FD()), PeerNumRxQueues: 4, PeerNumTxQueues: 4,
		})
	})
	p, _ = r.open(Config{Interface: "fn1", NetNS: path(r.fn)})
	require.Len(t, p.Sockets(), 4)
	for i, s := range p.Sockets() {
		assert.Equal(t, i, s.Queue())
	}
	require.NoError(t, p.Close())

	p, _ = r.open(Config{Interface: "fn1", NetNS: path(r.fn), Queues: []int{3, 1}})
	require.Len(t, p.Sockets(), 2)
	assert.Equal(t, 3, p.Sockets()[0].Queue())
}

// What the program makes of a packet whose queue has no socket.
func TestProgram(t *testing.T) {
	testutil.Root(t)
	testutil.Leaks(t)
	sockets, err := newMap(1)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sockets.Close()) })
	counts, err := newCount()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, counts.Close()) })
	for _, c := range []struct {
		pass bool
		want uint32
	}{{false, xdpDrop}, {true, xdpPass}} {
		p, err := NewProgram(sockets, counts, c.pass)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, p.Close()) })
		got, err := p.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
		require.NoError(t, err)
		assert.Equal(t, c.want, got)
	}
	n, err := count(counts)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	_, err = NewProgram(nil, counts, false)
	require.ErrorIs(t, err, maps.ErrInvalid)
	_, err = NewProgram(sockets, sockets, false)
	require.ErrorIs(t, err, maps.ErrInvalid)
}

// Of a program that is another's, functions come and go.
func TestMap(t *testing.T) {
	r := newRig(t, 0)
	sockets, err := newMap(1)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sockets.Close()) })
	counts, err := newCount()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, counts.Close()) })
	program, err := NewProgram(sockets, counts, false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, program.Close()) })
	var l link.Link
	testutil.In(t, r.fn, func() error {
		dev, err := net.InterfaceByName("fn0")
		if err == nil {
			l, err = link.AttachXDP(link.XDPOptions{Program: program, Interface: dev.Index})
		}
		return err
	})
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	w := r.wire()
	for i := range 3 {
		p, s := r.open(Config{Map: sockets})
		assert.Equal(t, bpf.Auto, p.Mode)
		if i == 0 {
			_, err := Open(context.Background(), r.config(Config{Map: sockets}))
			require.ErrorIs(t, err, maps.ErrExists, "the queue is taken")
		}
		w.send(numbered(t, i, 100))
		require.Equal(t, [][]byte{numbered(t, i, 100)}, collect(t, s, 1))
		require.NoError(t, p.Close())
		w.send(numbered(t, 9, 100)) // to nobody
	}
}

// An interface may come up later, and go down in between.
func TestInterfaceDown(t *testing.T) {
	r := newRig(t, 0)
	testutil.Down(t, r.fn, "fn0")
	_, s := r.open(Config{})
	w := r.wire()
	for i := range 2 {
		testutil.Up(t, r.fn, "fn0")
		testutil.Ready(t, r.fn, "fn0")
		testutil.Ready(t, r.host, "host0")
		w.send(numbered(t, i, 100))
		require.Equal(t, [][]byte{numbered(t, i, 100)}, collect(t, s, 1))
		testutil.Down(t, r.fn, "fn0")
	}
}

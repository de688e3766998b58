// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/encap"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

func TestOverhead(t *testing.T) {
	o, err := encap.ReturnToSender{Host: netip.MustParseAddr("2001:db8::1")}.Option(0xff4d)
	require.NoError(t, err)
	h := encap.Header{VNI: 7, Options: []encap.Option{o}}
	require.Equal(t, 20+8+h.Size()+14, Overhead(false))
	require.Equal(t, 40+8+h.Size()+14, Overhead(true))
	require.Equal(t, 74, Overhead(false))
}

func TestMTUFromDroplets(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	droplet := func(ifindex, mtu int, addrs ...string) {
		d := maps.Droplet{Ifindex: ifindex, MTU: mtu, MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(ifindex)}}
		for _, a := range addrs {
			d.Addrs = append(d.Addrs, netip.MustParseAddr(a))
		}
		require.NoError(t, r.tables.Droplets.Put(d))
		t.Cleanup(func() { require.NoError(t, r.tables.Droplets.Delete(ifindex)) })
	}
	made := func(c Config) int {
		e := r.create(c)
		require.Equal(t, e.MTU, testutil.Link(t, ns, "eth0").Attrs().MTU)
		require.Equal(t, e.MTU, testutil.Link(t, r.host, e.HostInterface).Attrs().MTU)
		require.NoError(t, r.Delete(t.Context(), e.HostInterface))
		return e.MTU
	}
	require.Equal(t, 1500-94, made(dual(ns)), "no droplet")
	droplet(101, 9000, "198.51.100.1")
	require.Equal(t, 9000-74, made(dual(ns)))
	droplet(102, 9000, "198.51.100.2", "2001:db8::2")
	require.Equal(t, 9000-94, made(dual(ns)))
	droplet(103, 1600, "198.51.100.3")
	require.Equal(t, 1600-74, made(dual(ns)))
	big := dual(ns)
	big.MTU = 20000
	require.Equal(t, 20000, made(big))

	droplet(104, 1300, "198.51.100.4")
	before := r.snapshot(ns)
	_, err := r.Create(t.Context(), dual(ns))
	require.ErrorIs(t, err, ErrMTU)
	require.Equal(t, before, r.snapshot(ns))
	v4 := dual(ns)
	v4.Addrs = v4.Addrs[:1]
	require.Equal(t, 1300-74, made(v4))
}

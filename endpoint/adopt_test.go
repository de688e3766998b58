// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

var vmMAC = net.HardwareAddr{0x52, 0x54, 0, 1, 2, 3}

// tap makes one as a VM's, without a VM.
func tap(t testing.TB, ns *netns.Handle, name string, mode netlink.TuntapMode, flags netlink.TuntapFlag) {
	t.Helper()
	testutil.In(t, ns, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: mode, Flags: flags})
	})
	testutil.MTU(t, ns, 1450, name)
	testutil.Up(t, ns, name)
}

func adopted(name string) Config {
	return Config{VNI: 7, Addrs: prefixes("192.0.2.10/24", "2001:db8:7::10/64"), HostInterface: name, Adopt: true, MAC: vmMAC}
}

func TestAdoptTap(t *testing.T) {
	for _, tc := range []struct {
		mode  Mode
		flags netlink.TuntapFlag
		want  error
	}{
		{TCX, netlink.TUNTAP_DEFAULTS, nil},
		{TCX, netlink.TUNTAP_DEFAULTS | netlink.TUNTAP_VNET_HDR, nil},
		{Native, netlink.TUNTAP_DEFAULTS, nil},
		{Generic, netlink.TUNTAP_DEFAULTS, nil},
		{Native, netlink.TUNTAP_DEFAULTS | netlink.TUNTAP_VNET_HDR, bpf.ErrNotSupported},
		{Generic, netlink.TUNTAP_DEFAULTS | netlink.TUNTAP_VNET_HDR, bpf.ErrNotSupported},
	} {
		t.Run(fmt.Sprintf("%s, flags %#x", tc.mode, tc.flags), func(t *testing.T) {
			r := newRig(t, bpf.Limits{})
			tap(t, r.host, "tap0", netlink.TUNTAP_MODE_TAP, tc.flags)
			before := r.snapshot()
			c := adopted("tap0")
			c.Mode = tc.mode
			e, err := r.Create(t.Context(), c)
			if tc.want != nil {
				require.ErrorIs(t, err, tc.want)
				require.Equal(t, before, r.snapshot())
				return
			}
			require.NoError(t, err)
			require.Equal(t, testutil.Ifindex(t, r.host, "tap0"), e.Ifindex)
			require.Equal(t, vmMAC, e.MAC)
			require.Equal(t, 1450, e.MTU)
			require.True(t, e.Adopted)
			a, err := r.tables.Agents.Get(e.Ifindex)
			require.NoError(t, err)
			require.False(t, a.PeerNetNS)
			require.Equal(t, []*Endpoint{e}, locals(t, r.another()))
			_, err = r.Create(t.Context(), adopted("tap0"))
			require.ErrorIs(t, err, maps.ErrExists)
			other := adopted("tap0")
			other.Addrs = prefixes("192.0.2.11/24")
			_, err = r.Create(t.Context(), other)
			require.ErrorIs(t, err, maps.ErrExists)
			require.NoError(t, r.another().Delete(t.Context(), "tap0"))
			require.Equal(t, before, r.snapshot())
		})
	}
}

func TestAdoptVeth(t *testing.T) {
	for _, mode := range []Mode{TCX, Native, Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRig(t, bpf.Limits{})
			ns := testutil.NewNS(t)
			cniVeth(t, r, ns)
			before := r.snapshot(ns)
			c := adopted("cni0")
			c.Mode, c.MAC, c.NetNS = mode, nil, FD(ns.FD())
			e := r.create(c)
			require.Equal(t, testutil.Link(t, ns, "pod").Attrs().HardwareAddr, e.MAC)
			require.Equal(t, 1400, e.MTU)
			a, err := r.tables.Agents.Get(e.Ifindex)
			require.NoError(t, err)
			require.True(t, a.PeerNetNS)
			testutil.In(t, ns, func() error {
				features, err := ethtool.Get("pod")
				for name, on := range offloads(mode) {
					require.Equal(t, on, features[name].On, name)
				}
				return err
			})
			require.Equal(t, []*Endpoint{e}, locals(t, r.another()))
			require.NoError(t, r.another().Delete(t.Context(), "cni0"))
			require.Equal(t, before, r.snapshot(ns))
		})
	}
}

// cniVeth makes what a CNI plug-in leaves.
func cniVeth(t testing.TB, r *rig, ns *netns.Handle) {
	t.Helper()
	testutil.Veth(t, r.host, "cni0", ns, "pod")
	testutil.MTU(t, ns, 1400, "pod")
	testutil.Addr(t, ns, "pod", "192.0.2.10/24")
	testutil.Up(t, r.host, "cni0")
	testutil.Up(t, ns, "pod")
	testutil.In(t, ns, func() error { // a setting that is not the kernel's default
		return ethtool.Set("pod", map[string]bool{"tx-gre-segmentation": false})
	})
	testutil.Eventually(t, settleTimeout, func() error { return settled(r.host, "cni0") })
}

func TestAdoptFaults(t *testing.T) {
	for _, mode := range []Mode{TCX, Native, Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRig(t, bpf.Limits{})
			ns := testutil.NewNS(t)
			cniVeth(t, r, ns)
			c := adopted("cni0")
			c.Mode, c.NetNS = mode, FD(ns.FD())
			r.faults(c, ns, remote(7, "192.0.2.10"))
		})
	}
}

// The other end is found by whatever holds its namespace.
func TestAdoptFindsOtherEnd(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	create := func(t *testing.T, given NetNS) error {
		c := adopted("cni0")
		c.NetNS = given
		e, err := r.Create(t.Context(), c)
		if err != nil {
			return err
		}
		return r.Delete(t.Context(), e.HostInterface)
	}
	t.Run("descriptor", func(t *testing.T) {
		ns := testutil.NewNS(t)
		cniVeth(t, r, ns)
		require.NoError(t, create(t, NetNS{}))
		require.ErrorIs(t, create(t, FD(testutil.NewNS(t).FD())), maps.ErrInvalid)
		testutil.Delete(t, r.host, "cni0")
	})
	t.Run("mount", func(t *testing.T) {
		ns, err := netns.New()
		require.NoError(t, err)
		defer ns.Close()
		path := filepath.Join(t.TempDir(), "a name with spaces")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, unix.Mount(fmt.Sprintf("/proc/self/fd/%d", ns.FD()), path, "", unix.MS_BIND, ""))
		defer func() { require.NoError(t, unix.Unmount(path, 0)) }()
		cniVeth(t, r, ns)
		require.NoError(t, ns.Close())
		require.NoError(t, create(t, NetNS{}))
		testutil.Delete(t, r.host, "cni0")
	})
	t.Run("process", func(t *testing.T) {
		ns, err := netns.New()
		require.NoError(t, err)
		defer ns.Close()
		cniVeth(t, r, ns)
		sleeper := exec.Command(os.Args[0])
		sleeper.Env = append(os.Environ(), victimEnv+"=wait")
		stdin, err := sleeper.StdinPipe()
		require.NoError(t, err)
		testutil.In(t, ns, sleeper.Start)
		require.NoError(t, ns.Close())
		require.NoError(t, create(t, NetNS{}))
		testutil.Delete(t, r.host, "cni0")
		require.NoError(t, stdin.Close())
		require.NoError(t, sleeper.Wait())
	})
	t.Run("nobody", func(t *testing.T) {
		ns, err := netns.New()
		require.NoError(t, err)
		defer ns.Close()
		cniVeth(t, r, ns)
		before := r.snapshot(ns)
		socket := packetSocket(t, ns)
		require.Positive(t, socket) // holds the namespace, and does not show it
		c := adopted("cni0")
		c.NetNS = FD(ns.FD())
		r.create(c)
		require.NoError(t, ns.Close())
		require.NoError(t, r.Delete(t.Context(), "cni0"), "offloads cannot be put back: that is no reason to stay")
		require.Empty(t, locals(t, r.Manager))
		require.ErrorIs(t, create(t, NetNS{}), maps.ErrNotFound)
		require.Subset(t, before, rows(t, r.raw))
		testutil.Delete(t, r.host, "cni0")
	})
}

// Both ends in the data-plane's namespace.
func TestAdoptVethHere(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	cniVeth(t, r, r.host)
	before := r.snapshot()
	e := r.create(adopted("cni0"))
	a, err := r.tables.Agents.Get(e.Ifindex)
	require.NoError(t, err)
	require.False(t, a.PeerNetNS)
	require.NoError(t, r.Delete(t.Context(), "cni0"))
	require.Equal(t, before, r.snapshot())
}

func TestAdoptRefuses(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	tap(t, r.host, "tap0", netlink.TUNTAP_MODE_TAP, netlink.TUNTAP_DEFAULTS)
	tap(t, r.host, "tun0", netlink.TUNTAP_MODE_TUN, netlink.TUNTAP_DEFAULTS)
	tap(t, r.host, "tap1", netlink.TUNTAP_MODE_TAP, netlink.TUNTAP_DEFAULTS)
	tap(t, r.host, "tap2", netlink.TUNTAP_MODE_TAP, netlink.TUNTAP_DEFAULTS)
	testutil.MTU(t, r.host, 1000, "tap2")
	testutil.Bridge(t, r.host, "br0")
	require.NoError(t, r.tables.Restore.Put(maps.Saved{Ifindex: testutil.Ifindex(t, r.host, "tap1"), Name: "tap1", Role: maps.RoleDroplet}))
	testutil.In(t, r.host, func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: r.programs.AgentXDP, Interface: testutil.Ifindex(t, r.host, "tap0"), Flags: link.XDPDriverMode})
		if err == nil {
			t.Cleanup(func() { require.NoError(t, l.Close()) })
		}
		return err
	})
	before := r.snapshot()
	for name, tc := range map[string]struct {
		want   error
		change func(*Config)
	}{
		"what is not there":       {maps.ErrNotFound, func(c *Config) { c.HostInterface = "tap9" }},
		"a droplet":               {maps.ErrExists, func(c *Config) { c.HostInterface = "tap1" }},
		"what is no Ethernet":     {bpf.ErrNotSupported, func(c *Config) { c.HostInterface = "tun0" }},
		"a bridge without MAC":    {maps.ErrInvalid, func(c *Config) { c.HostInterface, c.MAC = "br0", nil }},
		"a tap without MAC":       {maps.ErrInvalid, func(c *Config) { c.MAC = nil }},
		"a bridge, for XDP":       {bpf.ErrNotSupported, func(c *Config) { c.HostInterface, c.Mode = "br0", Generic }},
		"XDP that somebody has":   {ErrBusy, func(c *Config) { c.Mode = Native }},
		"an MTU too small for v6": {ErrMTU, func(c *Config) { c.HostInterface = "tap2" }},
	} {
		t.Run(name, func(t *testing.T) {
			c := adopted("tap0")
			tc.change(&c)
			_, err := r.Create(t.Context(), c)
			require.ErrorIs(t, err, tc.want)
			require.Equal(t, before, r.snapshot())
		})
	}
}

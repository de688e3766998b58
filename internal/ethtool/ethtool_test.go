// SPDX-License-Identifier: Apache-2.0

package ethtool

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

// veth runs f where there is one, called eth0.
func veth(t *testing.T, f func()) {
	t.Helper()
	ns := testutil.NewNS(t)
	testutil.Veth(t, ns, "eth0", testutil.NewNS(t), "peer")
	testutil.In(t, ns, func() error { f(); return nil })
}

func get(t *testing.T) Features {
	t.Helper()
	f, err := Get("eth0")
	require.NoError(t, err)
	return f
}

func TestNames(t *testing.T) {
	veth(t, func() {
		have := get(t)
		require.NotContains(t, have, "")
		seen := make(map[string]bool)
		for i, name := range recorded {
			require.Less(t, i, 128)
			require.False(t, seen[name], name)
			seen[name] = true
			if name != "tx-tcp-accecn-segmentation" { // since 6.15
				require.Contains(t, have, name)
			}
		}
	})
	// Masks in pinned tables speak of these places.
	for i, name := range map[int]string{0: "tx-checksum-ip-generic", 7: "tx-tcp-segmentation", 18: "tx-udp_tnl-segmentation", 26: "rx-gro", 40: "rx-ntuple-filter"} {
		require.Equal(t, name, recorded[i])
	}
}

func TestSet(t *testing.T) {
	veth(t, func() {
		for _, on := range []bool{true, false, true} {
			want := map[string]bool{"rx-gro": on, "tx-tcp-segmentation": on, "tx-udp_tnl-segmentation": !on}
			require.NoError(t, Set("eth0", want))
			have := get(t)
			for name, on := range want {
				require.Equal(t, Feature{On: on, Wanted: on}, have[name], name)
			}
		}
		require.NoError(t, Set("eth0", nil))
	})
}

// The kernel acts on it: a checksum that is not offloaded is there when the packet arrives.
func TestSetTakesEffect(t *testing.T) {
	a, b := testutil.NewNS(t), testutil.NewNS(t)
	testutil.Veth(t, a, "eth0", b, "eth0")
	testutil.Addr(t, a, "eth0", "192.0.2.1/24")
	testutil.Addr(t, b, "eth0", "192.0.2.2/24")
	testutil.Up(t, a, "eth0")
	testutil.Up(t, b, "eth0")
	for _, on := range []bool{true, false} {
		testutil.In(t, a, func() error { return Set("eth0", map[string]bool{"tx-checksum-ip-generic": on}) })
		require.Equal(t, on, !checksummed(t, a, b), "offload %t", on)
	}
}

// checksummed sends a datagram from a to b, and tells whether its checksum was right on the wire.
func checksummed(t *testing.T, a, b *netns.Handle) bool {
	t.Helper()
	var fd int
	testutil.In(t, b, func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(swap(unix.ETH_P_IP)))
		return err
	})
	defer unix.Close(fd)
	require.NoError(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
	c, err := testutil.DialUDP(t, a, netip.AddrPort{}, netip.MustParseAddrPort("192.0.2.2:9"))
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("checked"))
	require.NoError(t, err)
	packet := make([]byte, 1500)
	for {
		n, _, err := unix.Recvfrom(fd, packet, 0)
		require.NoError(t, err)
		ip := packet[:n]
		if n < 28 || ip[9] != unix.IPPROTO_UDP {
			continue
		}
		sum := uint32(unix.IPPROTO_UDP + n - 20)
		for i := 12; i < n; i += 2 {
			if i+1 < n {
				sum += uint32(binary.BigEndian.Uint16(ip[i:]))
			} else {
				sum += uint32(ip[i]) << 8
			}
		}
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		return sum == 0xffff
	}
}

func swap(x uint16) uint16 { return x>>8 | x<<8 }

func TestSetRefused(t *testing.T) {
	veth(t, func() {
		before := get(t)
		require.Equal(t, Feature{Fixed: true}, before["hw-tc-offload"])
		for _, want := range []map[string]bool{
			{"rx-gro": true, "hw-tc-offload": true},                                               // fixed
			{"rx-gro": true, "no-such-feature": true},                                             // unknown
			{"rx-gro": true, "tx-checksum-ip-generic": false, "tx-tcp-segmentation": true},        // needs the other
			{"rx-gro": true, "rx-lro": true},                                                      // not of this device
			{"tx-scatter-gather": false, "tx-generic-segmentation": true, "rx-gro": true},         // needs the other
			{"rx-gro": true, "tx-checksum-ip-generic": true, "rx-vlan-filter": true},              // not of this device
			{"rx-gro": !before["rx-gro"].On, "rx-checksum": !before["rx-checksum"].On, "x": true}, // unknown
		} {
			require.ErrorIs(t, Set("eth0", want), ErrRefused, "%v", want)
			require.Equal(t, before, get(t), "%v", want)
		}
		require.NoError(t, Set("eth0", map[string]bool{"no-such-feature": false, "rx-lro": false}))
	})
}

func TestChangeAndRestore(t *testing.T) {
	veth(t, func() {
		// Whatever it was before, it is that again.
		require.NoError(t, Set("eth0", map[string]bool{"tx-tcp-ecn-segmentation": false, "rx-gro": false}))
		before := get(t)
		want := map[string]bool{
			"tx-checksum-ip-generic": false, "tx-tcp-segmentation": false, "tx-tcp-ecn-segmentation": false,
			"rx-gro": true, "rx-lro": false, "tx-gso-list": false,
		}
		plan, planned, err := Plan("eth0", want)
		require.NoError(t, err)
		require.Equal(t, before, get(t), "planning changes nothing")

		mask, was, err := Change("eth0", want)
		require.NoError(t, err)
		require.Equal(t, [][2]uint64{plan, planned}, [][2]uint64{mask, was})
		require.Equal(t, map[string]bool{"tx-checksum-ip-generic": true, "tx-tcp-segmentation": true, "rx-gro": false, "tx-gso-list": true}, named(mask, was))
		have := get(t)
		for name, on := range want {
			require.Equal(t, on, have[name].On, name)
		}
		require.False(t, have["tx-tcp6-segmentation"].On, "it went with the checksums")

		require.NoError(t, Restore("eth0", mask, was))
		require.Equal(t, before, get(t))

		mask, was, err = Change("eth0", map[string]bool{"rx-gro": false})
		require.NoError(t, err)
		require.Zero(t, mask, "it was so before")
		require.Zero(t, was)
		require.NoError(t, Restore("eth0", mask, was))
	})
}

// named undoes the bits.
func named(mask, was [2]uint64) map[string]bool {
	m := make(map[string]bool)
	for i, name := range recorded {
		if mask[i/64]&(1<<(i%64)) != 0 {
			m[name] = was[i/64]&(1<<(i%64)) != 0
		}
	}
	return m
}

func TestChangeFails(t *testing.T) {
	veth(t, func() {
		before := get(t)
		require.False(t, before["tx-nocache-copy"].Fixed)
		_, _, err := Change("eth0", map[string]bool{"tx-nocache-copy": true, "rx-gro": true})
		require.ErrorIs(t, err, unix.EINVAL)
		require.ErrorContains(t, err, "tx-nocache-copy")
		mask, was, err := Change("eth0", map[string]bool{"rx-gro": true, "rx-lro": true})
		require.ErrorIs(t, err, ErrRefused)
		require.Zero(t, mask)
		require.Zero(t, was)
		require.Equal(t, before, get(t))

		testutil.Without(t, unix.CAP_NET_ADMIN, func() {
			require.Equal(t, before, get(t), "reading takes no capability")
			err := Set("eth0", map[string]bool{"rx-gro": true})
			require.ErrorIs(t, err, unix.EPERM)
			require.ErrorContains(t, err, "CAP_NET_ADMIN")
			require.ErrorIs(t, Restore("eth0", Mask{1 << 26}, Mask{1 << 26}), unix.EPERM)
		})
		require.Equal(t, before, get(t))
	})
}

func TestGone(t *testing.T) {
	veth(t, func() {
		for _, name := range []string{"none", "a-name-that-is-too-long", ""} {
			_, err := Get(name)
			require.Error(t, err, name)
			require.ErrorContains(t, err, name)
			require.Error(t, Set(name, map[string]bool{"rx-gro": true}))
			_, err = Driver(name)
			require.Error(t, err, name)
		}
		_, err := Get("none")
		require.ErrorIs(t, err, unix.ENODEV)
		require.NoError(t, Restore("none", Mask{1}, Mask{1}), "nothing to put back there")
	})
}

func TestDriver(t *testing.T) {
	veth(t, func() {
		driver, err := Driver("eth0")
		require.NoError(t, err)
		require.Equal(t, "veth", driver)
	})
	ns := testutil.NewNS(t)
	testutil.Bridge(t, ns, "br0")
	testutil.In(t, ns, func() error {
		driver, err := Driver("br0")
		require.Equal(t, "bridge", driver)
		return err
	})
}

// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// addGeneve makes a kernel's own Geneve device in a namespace. The netlink library cannot say that IPv6
// packets without UDP checksum are to be taken.
func addGeneve(t testing.TB, ns *netns.Handle, name string, mac net.HardwareAddr, remote netip.Addr) {
	t.Helper()
	testutil.In(t, ns, func() error {
		req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
		req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
		req.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, mac))
		info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("geneve"))
		data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
		data.AddRtAttr(nl.IFLA_GENEVE_ID, nl.Uint32Attr(vni))
		if remote.Is4() {
			data.AddRtAttr(nl.IFLA_GENEVE_REMOTE, remote.AsSlice())
		} else {
			data.AddRtAttr(nl.IFLA_GENEVE_REMOTE6, remote.AsSlice())
			data.AddRtAttr(nl.IFLA_GENEVE_UDP_ZERO_CSUM6_RX, []byte{1})
		}
		req.AddData(info)
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		if errors.Is(err, unix.EOPNOTSUPP) && builtWithoutGeneve(t) {
			t.Skip("this kernel was built without CONFIG_GENEVE")
		}
		return err
	})
}

// builtWithoutGeneve is true where the kernel itself says so.
func builtWithoutGeneve(t testing.TB) bool {
	t.Helper()
	f, err := os.Open("/proc/config.gz")
	if err != nil {
		return false
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	config, err := io.ReadAll(z)
	require.NoError(t, err)
	return strings.Contains(string(config), "\n# CONFIG_GENEVE is not set\n")
}

// Another implementation at the other end: a kernel's Geneve device and an endpoint behind a droplet.
// The device asks for the endpoint's MAC, which agents never do.
func TestKernelGenevePeer(t *testing.T) {
	for _, mode := range []droplet.Mode{droplet.TCX, droplet.Native} {
		for _, outer := range []struct {
			name         string
			host, device netip.Addr
		}{
			{"IPv4", addrA, addrB},
			{"IPv6", netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("2001:db8:1::2")},
		} {
			t.Run(mode.String()+" over "+outer.name, func(t *testing.T) {
				testutil.Leaks(t)
				testKernelGenevePeer(t, mode, outer.host, outer.device)
			})
		}
	}
}

func testKernelGenevePeer(t *testing.T, mode droplet.Mode, host, device netip.Addr) {
	ctx := t.Context()
	h, other := newHosts(t)
	for ns, addr := range map[*netns.Handle]netip.Addr{h.ns: host, other.ns: device} {
		if addr.Is6() {
			testutil.Addr(t, ns, "eth0", netip.PrefixFrom(addr, 64).String())
		}
		testutil.Ready(t, ns, "eth0")
	}
	if mode.XDP() {
		likeNIC(t, other.ns, "eth0")
	}
	ends := map[string]netip.Prefix{"4 here": netip.MustParsePrefix("10.0.0.1/24"), "4 there": netip.MustParsePrefix("10.0.0.2/24"),
		"6 here": netip.MustParsePrefix("2001:db8:7::1/64"), "6 there": netip.MustParsePrefix("2001:db8:7::2/64")}
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 2}
	addGeneve(t, other.ns, "gnv0", mac, host)
	testutil.MTU(t, other.ns, 1500-endpoint.Overhead(true), "gnv0")
	testutil.Addr(t, other.ns, "gnv0", ends["4 there"].String(), ends["6 there"].String())
	testutil.Up(t, other.ns, "gnv0")

	dp := h.open(t)
	defer func() { require.NoError(t, dp.Destroy(ctx)) }()
	require.NoError(t, dp.Peer.Add(ctx, maps.Peer{Prefix: netip.PrefixFrom(device, device.BitLen())}))
	_, err := dp.Droplet.Attach(ctx, droplet.Config{Interface: "eth0", Mode: mode})
	require.NoError(t, err)
	require.NoError(t, dp.VPC.Add(ctx, maps.VPC{VNI: vni}))
	workload := testutil.NewNS(t)
	_, err = dp.Endpoint.Create(ctx, endpoint.Config{VNI: vni, Addrs: []netip.Prefix{ends["4 here"], ends["6 here"]},
		NetNS: endpoint.FD(workload.FD())})
	require.NoError(t, err)
	for _, there := range []string{"4 there", "6 there"} {
		require.NoError(t, dp.Endpoint.Add(ctx, maps.Endpoint{VNI: vni, Addr: ends[there].Addr(), Host: device, MAC: mac}))
	}

	for _, family := range []string{"4", "6"} {
		here, there := ends[family+" here"].Addr(), ends[family+" there"].Addr()
		for _, way := range []struct {
			from, to *netns.Handle
			addr     netip.Addr
		}{{other.ns, workload, here}, {workload, other.ns, there}} {
			const timeout = 20 * time.Second
			require.Zero(t, testutil.Ping(t, way.from, netip.Addr{}, way.addr, 5, timeout).Lost, "ping %s", way.addr)
			server := testutil.EchoTCP(t, way.to, netip.AddrPortFrom(way.addr, 0))
			c, err := testutil.DialTCP(t, way.from, netip.Addr{}, server, timeout)
			require.NoError(t, err)
			require.NoError(t, testutil.Exchange(c, 4<<20, timeout))
			require.NoError(t, c.Close())
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/ethtool"
)

// liveHost is a host in a namespace, with a droplet on a wire to the other, and one workload.
type liveHost struct {
	ns, workload netns.NsHandle
	tables       *Tables
	p            *Programs
	addr         netip.Addr
	droplet      int
	agent        int
}

func inNS(t testing.TB, ns netns.NsHandle, f func() error) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	was, err := netns.Get()
	require.NoError(t, err)
	defer was.Close()
	defer func() { require.NoError(t, netns.Set(was)) }()
	require.NoError(t, netns.Set(ns))
	require.NoError(t, f())
}

func newNS(t testing.TB) netns.NsHandle {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	was, err := netns.Get()
	require.NoError(t, err)
	defer was.Close()
	ns, err := netns.New()
	require.NoError(t, err)
	require.NoError(t, netns.Set(was))
	t.Cleanup(func() { ns.Close() })
	return ns
}

func setUp(name string, addrs ...netip.Prefix) (int, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return 0, err
	}
	for _, p := range addrs {
		a, err := netlink.ParseAddr(p.String())
		if err != nil {
			return 0, err
		}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(l, a); err != nil {
			return 0, err
		}
	}
	return l.Attrs().Index, netlink.LinkSetUp(l)
}

func addVeth(name string, mtu int, mac net.HardwareAddr, peer string, peerMAC net.HardwareAddr, ns netns.NsHandle) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = name, mtu, mac
	return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peer, PeerHardwareAddr: peerMAC,
		PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(ns)})
}

const innerMTU = mtu - 98

// live makes two hosts: workload a on the first, b on the second, in both families.
func live(t *testing.T, xdp bool) (a, b *liveHost) {
	needRoot(t)
	hosts := [2]*liveHost{{addr: host4}, {addr: far4}}
	workloads := [2][2]netip.Addr{{a4, a6}, {b4, b6}}
	macs := [2]net.HardwareAddr{macA, macB}
	for _, h := range hosts {
		h.ns, h.workload = newNS(t), newNS(t)
	}
	inNS(t, hosts[0].ns, func() error {
		return addVeth("u0", mtu, nil, "u0", nil, hosts[1].ns)
	})
	for i, h := range hosts {
		inNS(t, h.ns, func() (err error) {
			if h.droplet, err = setUp("u0", netip.PrefixFrom(h.addr, 24)); err != nil {
				return err
			}
			if err := addVeth("e0", innerMTU, nil, "eth0", macs[i], h.workload); err != nil {
				return err
			}
			if h.agent, err = setUp("e0"); err != nil {
				return err
			}
			if xdp {
				return ethtool.Set("u0", map[string]bool{"rx-gro": true, "tx-checksum-ip-generic": false,
					"tx-tcp-segmentation": false, "tx-tcp6-segmentation": false})
			}
			return nil
		})
		inNS(t, h.workload, func() error {
			if _, err := setUp("lo"); err != nil {
				return err
			}
			if _, err := setUp("eth0", netip.PrefixFrom(workloads[i][0], 24), netip.PrefixFrom(workloads[i][1], 64)); err != nil {
				return err
			}
			return ethtool.Set("eth0", map[string]bool{"rx-gro": true, "tx-udp_tnl-segmentation": false,
				"tx-udp_tnl-csum-segmentation": false})
		})
	}
	for i, h := range hosts {
		h.start(t, xdp, macs[i], workloads[i], hosts[1-i].addr, workloads[1-i])
	}
	return hosts[0], hosts[1]
}

func (h *liveHost) start(t *testing.T, xdp bool, mac net.HardwareAddr, own [2]netip.Addr, peer netip.Addr, others [2]netip.Addr) {
	var err error
	h.tables, err = NewTables(Limits{Endpoints: 100, Directs: 4096, Paths: 4096, Traffic: 16})
	require.NoError(t, err)
	t.Cleanup(func() { h.tables.Close() })
	h.p, err = LoadPrograms(h.tables)
	require.NoError(t, err)
	t.Cleanup(func() { h.p.Close() })
	require.NoError(t, h.p.WireTransit())
	r := &rig{t: t, tables: h.tables}
	var fib int
	inNS(t, h.ns, func() error {
		if err := addVeth("fib", mtu, nil, "fibp", nil, h.ns); err != nil {
			return err
		}
		l, err := netlink.LinkByName("fib")
		if err != nil {
			return err
		}
		fib = l.Attrs().Index
		return os.WriteFile("/proc/sys/net/ipv4/conf/fib/forwarding", []byte("1"), 0)
	})
	r.put(h.tables.Settings, uint32(0), TableSettings{FibIfindex: uint32(fib), Port: port, OptionClass: class,
		DirectAgeNs: 60e9, PathAgeNs: 60e9, RefreshNs: 1e9, EventsPerSecond: 100})
	var flags TableDropletFlags
	if xdp {
		flags = TableDropletFlagsDROPLET_XDP
	}
	r.put(h.tables.Droplets, uint32(h.droplet), TableDroplet{Source4: address(h.addr), Mtu: mtu, Flags: flags, Traffic: 1})
	r.put(h.tables.Addresses, address(h.addr), uint32(h.droplet))
	r.put(h.tables.Agents, uint32(h.agent), TableAgent{Vni: vni, Flags: TableAgentFlagsAGENT_PEER, Mac: [6]byte(mac), Mtu: innerMTU, Traffic: 2})
	r.put(h.tables.VPCs, uint32(vni), TableVpc{Vni: vni, Generation: 1})
	for _, a := range own {
		r.endpoint(vni, a, TableEndpoint{Ifindex: uint32(h.agent)})
	}
	for _, a := range others {
		r.endpoint(vni, a, TableEndpoint{Host: address(peer)})
	}
	r.peer("192.0.2.0/26")
	inNS(t, h.ns, func() error {
		attach := func(p *ebpf.Program, ifindex int) error {
			return attachTCX(t, ifindex, p)
		}
		if err := attach(h.p.TransitTCX, h.droplet); err != nil {
			return err
		}
		if err := attach(h.p.AgentTCX, h.agent); err != nil {
			return err
		}
		if !xdp {
			return nil
		}
		l, err := link.AttachXDP(link.XDPOptions{Program: h.p.TransitXDP, Interface: h.droplet, Flags: link.XDPDriverMode})
		if err == nil {
			t.Cleanup(func() { l.Close() })
		}
		return err
	})
}

// attachTCX attaches at ingress, by clsact where the kernel has no tcx (before 6.6).
func attachTCX(t *testing.T, ifindex int, p *ebpf.Program) error {
	l, err := link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: p, Attach: ebpf.AttachTCXIngress})
	if err == nil {
		t.Cleanup(func() { l.Close() })
		return nil
	}
	if !errors.Is(err, ebpf.ErrNotSupported) {
		return err
	}
	if err := netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: ifindex,
		Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}); err != nil {
		return err
	}
	return netlink.FilterAdd(&netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{LinkIndex: ifindex,
		Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1},
		Fd: p.FD(), Name: "transit", DirectAction: true})
}

// stream sends n bytes by TCP from one workload to the other, and gives the time it took.
func stream(t *testing.T, from, to *liveHost, addr netip.Addr, n int64) time.Duration {
	var l net.Listener
	inNS(t, to.workload, func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
		return err
	})
	defer l.Close()
	got := make(chan int64, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- -1
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		k, _ := io.Copy(io.Discard, c)
		got <- k
	}()
	var c net.Conn
	inNS(t, from.workload, func() (err error) {
		c, err = net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
		return err
	})
	c.SetDeadline(time.Now().Add(20 * time.Second))
	begin := time.Now()
	buf := make([]byte, 1<<16)
	for sent := int64(0); sent < n; sent += int64(len(buf)) {
		_, err := c.Write(buf)
		require.NoError(t, err)
	}
	c.Close()
	require.Equal(t, n, <-got)
	return time.Since(begin)
}

func TestLive(t *testing.T) {
	for _, mode := range []string{"tcx", "xdp"} {
		t.Run(mode, func(t *testing.T) {
			a, b := live(t, mode == "xdp")
			defer logCounters(t, a, b)
			for _, addr := range []netip.Addr{b4, b6} {
				const n = 16 << 20
				d := stream(t, a, b, addr, n)
				t.Logf("%v: %.0f Mbit/s", addr, n*8/d.Seconds()/1e6)
			}
		})
	}
}

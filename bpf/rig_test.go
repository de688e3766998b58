// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A rig is one host in a namespace of its own: a droplet, two endpoints of VPC 7, one of VPC 8 with the
// same address, hosts around that the kernel has neighbours for, and all programs loaded.
type rig struct {
	t       testing.TB
	ns      netns.NsHandle
	tables  *Tables
	p       *Programs
	droplet int
	agents  [3]int // host sides of endpoints a, b, and c in the other VPC
}

const (
	vni      = 7
	otherVNI = 8
	class    = 0xff4d
	port     = 6081
	mtu      = 1500
)

var (
	host4, host6       = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8:1::1")
	far4, far6         = netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8:1::2")
	bouncer4, bouncer6 = netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8:1::3")
	divider4, divider6 = netip.MustParseAddr("192.0.2.4"), netip.MustParseAddr("2001:db8:1::4")
	stranger4          = netip.MustParseAddr("192.0.2.66")

	a4, a6 = netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8:7::1")
	b4, b6 = netip.MustParseAddr("203.0.113.2"), netip.MustParseAddr("2001:db8:7::2")
	// Known to live on the far host; in a network with a bouncer; in no network; in a black hole.
	f4, f6         = netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8:7::10")
	unknown4       = netip.MustParseAddr("203.0.113.20")
	unknown6       = netip.MustParseAddr("2001:db8:7::20")
	elsewhere4     = netip.MustParseAddr("198.51.100.1")
	elsewhere6     = netip.MustParseAddr("2001:db8:9::1")
	hole4          = netip.MustParseAddr("198.51.100.200")
	macA           = net.HardwareAddr{2, 0, 0, 0, 0, 0xa}
	macB           = net.HardwareAddr{2, 0, 0, 0, 0, 0xb}
	macC           = net.HardwareAddr{2, 0, 0, 0, 0, 0xc}
	macFar         = net.HardwareAddr{2, 0, 0, 0, 1, 2}
	macVirtual     = net.HardwareAddr{0xfe, 0x6d, 0x69, 0x7a, 0x61, 0x72}
	macDroplet     = net.HardwareAddr{2, 0, 0, 0, 1, 1}
	underlayHosts4 = []netip.Addr{far4, bouncer4, divider4, stranger4}
	underlayHosts6 = []netip.Addr{far6, bouncer6, divider6}
)

// needRoot skips where nobody promised root.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("needs root")
	}
	t.Skip("needs root: it loads programs and makes a network namespace")
}

func address(a netip.Addr) TableAddress { return TableAddress{Bytes: a.As16()} }

func bigEndian32(v uint32) uint32 {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	return binary.NativeEndian.Uint32(b[:])
}

func prefixBits(p netip.Prefix) uint32 {
	if p.Addr().Is4() {
		return uint32(p.Bits()) + 96
	}
	return uint32(p.Bits())
}

func newRig(t testing.TB) *rig { return newRigFor(t, 100) }

// newRigFor has room for so many endpoints.
func newRigFor(t testing.TB, endpoints uint32) *rig {
	needRoot(t)
	r := &rig{t: t}
	r.enter(func() (err error) { r.ns, err = netns.New(); return })
	t.Cleanup(func() { r.ns.Close() })
	var err error
	r.tables, err = NewTables(Limits{Endpoints: endpoints, Directs: 4096, Paths: 4096, Traffic: 16})
	require.NoError(t, err)
	t.Cleanup(func() { r.tables.Close() })
	r.p, err = LoadPrograms(r.tables)
	require.NoError(t, err)
	t.Cleanup(func() { r.p.Close() })
	require.NoError(t, r.p.WireTransit())
	require.NoError(t, r.p.WireStages(r.tables))
	r.enter(func() error {
		if err := netns.Set(r.ns); err != nil {
			return err
		}
		r.plumb()
		r.fill()
		return nil
	})
	return r
}

// enter runs f on a thread that may change its namespace, and brings it back.
func (r *rig) enter(f func() error) {
	r.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	was, err := netns.Get()
	require.NoError(r.t, err)
	defer was.Close()
	defer func() { require.NoError(r.t, netns.Set(was)) }()
	require.NoError(r.t, f())
}

func (r *rig) veth(name string, mac net.HardwareAddr) int {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	attrs.HardwareAddr = mac
	require.NoError(r.t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name + "p"}))
	for _, n := range []string{name, name + "p"} {
		l, err := netlink.LinkByName(n)
		require.NoError(r.t, err)
		require.NoError(r.t, netlink.LinkSetUp(l))
	}
	l, err := netlink.LinkByName(name)
	require.NoError(r.t, err)
	return l.Attrs().Index
}

func (r *rig) plumb() {
	t := r.t
	r.droplet = r.veth("u0", macDroplet)
	for i, name := range []string{"ea", "eb", "ec"} {
		r.agents[i] = r.veth(name, nil)
	}
	fib := r.veth("fib", nil)
	for _, family := range []string{"ipv4", "ipv6"} {
		require.NoError(t, os.WriteFile("/proc/sys/net/"+family+"/conf/fib/forwarding", []byte("1"), 0))
	}
	u0, err := netlink.LinkByName("u0")
	require.NoError(t, err)
	for _, p := range []netip.Prefix{netip.PrefixFrom(host4, 24), netip.PrefixFrom(host6, 64)} {
		a, err := netlink.ParseAddr(p.String())
		require.NoError(t, err)
		a.Flags = 2 // IFA_F_NODAD
		require.NoError(t, netlink.AddrAdd(u0, a))
	}
	for _, a := range append(underlayHosts4, underlayHosts6...) {
		require.NoError(t, netlink.NeighSet(&netlink.Neigh{LinkIndex: r.droplet, IP: a.AsSlice(),
			HardwareAddr: macFar, State: netlink.NUD_PERMANENT}))
	}
	require.NoError(t, r.tables.Settings.Put(uint32(0), TableSettings{FibIfindex: uint32(fib), Port: port,
		OptionClass: class, DirectAgeNs: 60e9, PathAgeNs: 60e9, RefreshNs: 1 << 62, EventsPerSecond: 1000}))
}

func (r *rig) put(m *ebpf.Map, key, value any) {
	r.t.Helper()
	require.NoError(r.t, m.Put(key, value))
	r.nextEpoch()
}

// nextEpoch has programs forget what they looked up, as maps does after each change.
func (r *rig) nextEpoch() {
	r.t.Helper()
	require.NoError(r.t, r.tables.Epochs.Put(TableEpochEPOCH_TABLES, uint64(time.Now().UnixNano())))
}

// settings changes some of them.
func (r *rig) settings(change func(*TableSettings)) {
	var s TableSettings
	require.NoError(r.t, r.tables.Settings.Lookup(uint32(0), &s))
	change(&s)
	r.put(r.tables.Settings, uint32(0), s)
}

func (r *rig) endpoint(v uint32, a netip.Addr, ep TableEndpoint) {
	r.t.Helper()
	ep.Kind = TableEndpointKindENDPOINT_SIMPLE
	r.put(r.tables.Endpoints, TableEndpointKey{Vni: v, Addr: address(a)}, ep)
}

func (r *rig) network(v uint32, prefix string, n TableNetwork) {
	r.t.Helper()
	p := netip.MustParsePrefix(prefix)
	n.Vni = v
	r.put(r.tables.Networks, TableNetworkKey{Prefixlen: 32 + prefixBits(p), Vni: bigEndian32(v),
		Addr: address(p.Addr())}, n)
}

func (r *rig) set(id uint32, flags TableSetFlags, members ...netip.Addr) {
	s := TableSet{Count: uint32(len(members)), Flags: flags}
	for i, m := range members {
		s.Members[i] = address(m)
	}
	for i := range s.Slots {
		s.Slots[i] = uint8(i % len(members))
	}
	r.put(r.tables.Sets, id, s)
}

func (r *rig) allow(ifindex int, prefix string) {
	p := netip.MustParsePrefix(prefix)
	r.put(r.tables.Allowed, TableAllowedKey{Prefixlen: 32 + prefixBits(p), Ifindex: bigEndian32(uint32(ifindex)),
		Addr: address(p.Addr())}, uint32(1))
}

func (r *rig) peer(prefix string) {
	p := netip.MustParsePrefix(prefix)
	r.put(r.tables.Peers, TablePeerKey{Prefixlen: prefixBits(p), Addr: address(p.Addr())}, TablePeer{})
}

func (r *rig) fill() {
	t := r.tables
	r.put(t.Droplets, uint32(r.droplet), TableDroplet{Source4: address(host4), Source6: address(host6),
		Mac: [6]byte(macDroplet), Mtu: mtu, Flags: TableDropletFlagsDROPLET_XDP, Traffic: 1})
	r.put(t.Addresses, address(host4), uint32(r.droplet))
	r.put(t.Addresses, address(host6), uint32(r.droplet))
	for i, a := range []TableAgent{{Vni: vni, Mac: [6]byte(macA)}, {Vni: vni, Mac: [6]byte(macB)},
		{Vni: otherVNI, Mac: [6]byte(macC)}} {
		a.Mtu, a.Traffic = mtu, uint32(2+i)
		r.put(t.Agents, uint32(r.agents[i]), a)
	}
	for v, i := range map[uint32][2]int{vni: {0, 1}, otherVNI: {2, 2}} {
		r.endpoint(v, a4, TableEndpoint{Ifindex: uint32(r.agents[i[0]])})
		r.endpoint(v, a6, TableEndpoint{Ifindex: uint32(r.agents[i[0]])})
		if v == vni {
			r.endpoint(v, b4, TableEndpoint{Ifindex: uint32(r.agents[i[1]])})
			r.endpoint(v, b6, TableEndpoint{Ifindex: uint32(r.agents[i[1]])})
		}
	}
	r.endpoint(vni, f4, TableEndpoint{Host: address(far4)})
	r.endpoint(vni, f6, TableEndpoint{Host: address(far6)})
	r.set(1, 0, bouncer4)
	r.set(2, 0, bouncer6)
	r.set(3, 0, divider4)
	r.network(vni, "203.0.113.0/24", TableNetwork{Kind: TableNetworkKindNETWORK_BOUNCERS, Set: 1})
	r.network(vni, "2001:db8:7::/64", TableNetwork{Kind: TableNetworkKindNETWORK_BOUNCERS, Set: 2})
	r.network(vni, "198.51.100.200/32", TableNetwork{Kind: TableNetworkKindNETWORK_BLACKHOLE})
	r.put(t.VPCs, uint32(vni), TableVpc{Vni: vni, Set: 3, Generation: 1})
	r.put(t.VPCs, uint32(otherVNI), TableVpc{Vni: otherVNI, Generation: 2})
	r.peer("192.0.2.0/26") // without the stranger
	r.peer("2001:db8:1::/64")
	for _, h := range append(underlayHosts4, underlayHosts6...) {
		r.put(t.Paths, address(h), TablePath{Refreshed: 1, Host: address(h)})
	}
}

// counted is the count of one reason, summed over CPUs.
func (r *rig) counted(reason TableReason) (sum TableCounter) {
	var c []TableCounter
	require.NoError(r.t, r.tables.Counters.Lookup(uint32(reason), &c))
	for _, one := range c {
		sum.Packets += one.Packets
		sum.Bytes += one.Bytes
	}
	return sum
}

// counters are the counts by reason, summed over CPUs. They are read at once: tests do so for every packet.
func (r *rig) counters() map[TableReason]uint64 {
	cpus := ebpf.MustPossibleCPU()
	keys, all := make([]TableReason, TableReasonREASON_MAX), make([]TableCounter, int(TableReasonREASON_MAX)*cpus)
	n, err := r.tables.Counters.BatchLookup(new(ebpf.MapBatchCursor), keys, all, nil)
	if !errors.Is(err, ebpf.ErrKeyNotExist) { // that was all
		require.NoError(r.t, err)
	}
	require.Len(r.t, keys, n)
	got := make(map[TableReason]uint64)
	for i, c := range all {
		if c.Packets != 0 {
			got[keys[i/cpus]] += c.Packets
		}
	}
	return got
}

func (r *rig) resetCounters() {
	keys := make([]TableReason, TableReasonREASON_MAX)
	for i := range keys {
		keys[i] = TableReason(i)
	}
	_, err := r.tables.Counters.BatchUpdate(keys, make([]TableCounter, len(keys)*ebpf.MustPossibleCPU()), nil)
	require.NoError(r.t, err) // programs keep nothing of it
}

// action is what a program wants of the kernel, in words that both hooks share.
type action string

const (
	pass     action = "pass"
	drop     action = "drop"
	transmit action = "transmit" // redirected, or back out of the interface
)

// how a packet lies in memory, where not plainly.
type how struct {
	linear  int // XDP: so many bytes in the first buffer, the rest in others (a run can do that since 6.18)
	meta    int // XDP: so many bytes of metadata (more than 32 since 6.9)
	segment int // tcx: a GSO packet with so much payload in a segment, of no protocol
}

// possible tells whether the kernel can run programs so.
func (h how) possible() bool {
	var u unix.Utsname
	var major, minor int
	if err := unix.Uname(&u); err != nil {
		return true
	}
	if n, _ := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); n != 2 {
		return true
	}
	since := func(minor6 int) bool { return major > 6 || major == 6 && minor >= minor6 }
	return (h.linear == 0 || since(18)) && (h.meta <= 32 || since(9))
}

// run gives the frame to a program as it comes in by an interface.
func (r *rig) run(p *ebpf.Program, ifindex int, frame []byte) (action, []byte) {
	r.t.Helper()
	return r.runAs(p, ifindex, frame, how{})
}

func (r *rig) runAs(p *ebpf.Program, ifindex int, frame []byte, h how) (action, []byte) {
	r.t.Helper()
	out := make([]byte, len(frame)+h.meta+512)
	opts := &ebpf.RunOptions{Data: frame, DataOut: out}
	if p.Type() == ebpf.XDP {
		opts.Data = append(make([]byte, h.meta), frame...)
		md := &struct{ data, dataEnd, meta, ingress, queue, egress uint32 }{
			data: uint32(h.meta), dataEnd: uint32(len(opts.Data)), ingress: uint32(ifindex)}
		if h.linear != 0 {
			md.dataEnd = uint32(h.meta + h.linear)
		}
		opts.Context = md
	} else {
		var skb [192]byte // struct __sk_buff; ifindex is its eleventh word, gso_size its 45th
		binary.NativeEndian.PutUint32(skb[10*4:], uint32(ifindex))
		binary.NativeEndian.PutUint32(skb[44*4:], uint32(h.segment))
		opts.Context = &skb
	}
	var ret uint32
	r.enter(func() (err error) {
		if err = netns.Set(r.ns); err == nil {
			ret, err = p.Run(opts)
		}
		return err
	})
	verdicts := map[uint32]action{1: drop, 2: pass, 3: transmit, 4: transmit}
	if p.Type() != ebpf.XDP {
		verdicts = map[uint32]action{^uint32(0): pass, 2: drop, 7: transmit}
	}
	act, ok := verdicts[ret]
	require.True(r.t, ok, "verdict %d", int32(ret))
	return act, opts.DataOut
}

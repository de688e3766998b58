// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

func requireForwarding(t *testing.T, ns *netns.Handle, ifindex int) {
	t.Helper()
	var name string
	testutil.In(t, ns, func() error {
		l, err := netlink.LinkByIndex(ifindex)
		if err == nil {
			name = l.Attrs().Name
		}
		return err
	})
	for _, family := range []string{"ipv4", "ipv6"} {
		require.Equal(t, "1", testutil.ReadSysctl(t, ns, "net/"+family+"/conf/"+name+"/forwarding"), family)
	}
	require.Equal(t, "1", testutil.ReadSysctl(t, ns, "net/ipv6/conf/"+name+"/addr_gen_mode"))
}

func TestFIB(t *testing.T) {
	p, _ := newHost(t)
	before := p.snapshot(t)
	ifindex, err := p.SetupFIB(t.Context())
	require.NoError(t, err)
	requireForwarding(t, p.ns, ifindex)
	require.Len(t, p.interfaces(t), 4, "lo, up0, and a pair")

	// The host is no router.
	require.Equal(t, "0", testutil.ReadSysctl(t, p.ns, "net/ipv4/ip_forward"))
	for _, family := range []string{"ipv4", "ipv6"} {
		for _, name := range []string{"all", "default", "lo", "up0"} {
			require.Equal(t, "0", testutil.ReadSysctl(t, p.ns, "net/"+family+"/conf/"+name+"/forwarding"), "%s %s", family, name)
		}
	}

	// Again it is the same, also for another process; another data-plane has its own.
	again, err := p.SetupFIB(t.Context())
	require.NoError(t, err)
	require.Equal(t, ifindex, again)
	again, err = p.again(t).SetupFIB(t.Context())
	require.NoError(t, err)
	require.Equal(t, ifindex, again)
	other, err := NewManager(p.tables, p.programs, Options{Name: "green", Links: p.links, NetNS: p.ns})
	require.NoError(t, err)
	others, err := other.SetupFIB(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, ifindex, others)

	// What somebody turned off is on again.
	name, _ := p.fibNames()
	testutil.Sysctl(t, p.ns, "net/ipv4/conf/"+name+"/forwarding", "0")
	testutil.Sysctl(t, p.ns, "net/ipv6/conf/"+name+"/forwarding", "0")
	_, err = p.SetupFIB(t.Context())
	require.NoError(t, err)
	requireForwarding(t, p.ns, ifindex)

	require.NoError(t, p.RemoveFIB(t.Context()))
	require.NoError(t, other.RemoveFIB(t.Context()))
	require.Equal(t, before, p.snapshot(t))
	require.NoError(t, p.RemoveFIB(t.Context()), "there is none")
}

// The device has no address and makes no noise, also if somebody sets it up.
func TestFIBIsSilent(t *testing.T) {
	testutil.Leaks(t)
	p := newPlane(t, testutil.NewNS(t), "blue")
	_, err := p.SetupFIB(t.Context())
	require.NoError(t, err)
	name, peer := p.fibNames()
	require.False(t, testutil.Link(t, p.ns, name).Attrs().Flags&unix.IFF_UP != 0)
	testutil.Up(t, p.ns, name, peer)
	for _, end := range []string{name, peer} {
		l := testutil.Link(t, p.ns, end)
		testutil.In(t, p.ns, func() error {
			addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
			require.Empty(t, addrs)
			return err
		})
	}
	require.NoError(t, p.RemoveFIB(t.Context()))
	require.Len(t, p.interfaces(t), 1, "lo")
}

func TestFIBNameIsTaken(t *testing.T) {
	testutil.Leaks(t)
	p := newPlane(t, testutil.NewNS(t), "blue")
	name, peer := p.fibNames()
	require.LessOrEqual(t, len(peer), unix.IFNAMSIZ-1)
	for _, other := range []string{"bridge", "veth"} {
		if other == "bridge" {
			testutil.Bridge(t, p.ns, name)
		} else {
			testutil.Veth(t, p.ns, name, p.ns, "other0")
		}
		before := p.snapshot(t)
		_, err := p.SetupFIB(t.Context())
		require.ErrorIs(t, err, ErrBusy)
		require.ErrorIs(t, p.RemoveFIB(t.Context()), ErrBusy)
		require.Equal(t, before, p.snapshot(t))
		testutil.Delete(t, p.ns, name)
	}
	testutil.Bridge(t, p.ns, peer)
	before := p.snapshot(t)
	_, err := p.SetupFIB(t.Context())
	require.ErrorIs(t, err, ErrBusy)
	require.Equal(t, before, p.snapshot(t))
}

// Where /proc/sys is read-only, as in a container, IPv4 works all the same, and IPv6 if nobody wants it.
func TestFIBInContainer(t *testing.T) {
	testutil.Leaks(t)
	p := newPlane(t, testutil.NewNS(t), "blue")
	before := p.snapshot(t)
	name, _ := p.fibNames()
	testutil.In(t, p.ns, func() error {
		return readOnlySysctls(t, func() {
			_, err := p.SetupFIB(t.Context())
			require.ErrorIs(t, err, bpf.ErrPermission)
			require.ErrorContains(t, err, "/proc/sys is read-only")
		})
	})
	require.Equal(t, before, p.snapshot(t))

	testutil.Sysctl(t, p.ns, "net/ipv6/conf/default/disable_ipv6", "1")
	testutil.In(t, p.ns, func() error {
		return readOnlySysctls(t, func() {
			_, err := p.SetupFIB(t.Context())
			require.NoError(t, err)
		})
	})
	require.Equal(t, "1", testutil.ReadSysctl(t, p.ns, "net/ipv4/conf/"+name+"/forwarding"))
	require.Equal(t, "0", testutil.ReadSysctl(t, p.ns, "net/ipv6/conf/"+name+"/forwarding"))

	// What is set already needs no writing.
	testutil.Sysctl(t, p.ns, "net/ipv6/conf/"+name+"/disable_ipv6", "0")
	_, err := p.SetupFIB(t.Context())
	require.NoError(t, err)
	testutil.In(t, p.ns, func() error {
		return readOnlySysctls(t, func() {
			_, err := p.SetupFIB(t.Context())
			require.NoError(t, err)
		})
	})
	require.NoError(t, p.RemoveFIB(t.Context()))
}

// readOnlySysctls runs f on the calling thread, which must be locked, in a mount namespace of its own.
func readOnlySysctls(t *testing.T, f func()) error {
	t.Helper()
	was, err := unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(was)
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	defer func() { require.NoError(t, unix.Setns(was, unix.CLONE_NEWNS)) }()
	for _, flags := range []uintptr{unix.MS_BIND, unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY} {
		if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
			return err
		}
		if err := unix.Mount("/proc/sys", "/proc/sys", "", flags, ""); err != nil {
			return fmt.Errorf("mount /proc/sys: %w", err)
		}
	}
	f()
	return nil
}

// A lookup that begins at the device finds routes, one that begins elsewhere is told that nobody forwards.
func TestFIBLookup(t *testing.T) {
	const success, forwardingDisabled, noNeighbour = 0, 5, 7
	p, _ := newHost(t)
	ifindex, err := p.SetupFIB(t.Context())
	require.NoError(t, err)
	far4, far6 := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8:1::2")
	for _, dst := range []netip.Addr{far4, far6} {
		require.Contains(t, []uint32{success, noNeighbour}, fibLookup(t, p.ns, ifindex, dst), dst)
		require.Equal(t, uint32(forwardingDisabled), fibLookup(t, p.ns, testutil.Ifindex(t, p.ns, "up0"), dst), dst)
	}
	p.attach(t, TCX)
	require.NoError(t, p.Resolve(t.Context(), far4, far6))
	testutil.Eventually(t, patience, func() error {
		for _, dst := range []netip.Addr{far4, far6} {
			if got := fibLookup(t, p.ns, ifindex, dst); got != success {
				return fmt.Errorf("%s: %d", dst, got)
			}
		}
		return nil
	})
	p.detach(t)
	require.NoError(t, p.RemoveFIB(t.Context()))
}

// fibLookup is what bpf_fib_lookup answers.
func fibLookup(t *testing.T, ns *netns.Handle, ifindex int, dst netip.Addr) (answer uint32) {
	t.Helper()
	var params [64]byte // struct bpf_fib_lookup
	binary.NativeEndian.PutUint32(params[8:], uint32(ifindex))
	params[0], params[1] = unix.AF_INET, unix.IPPROTO_UDP
	if dst.Is6() {
		params[0] = unix.AF_INET6
	}
	copy(params[32:], dst.AsSlice())
	var code asm.Instructions
	code = append(code, asm.Mov.Reg(asm.R1, asm.R1)) // the context stays where it is
	for i := 0; i < len(params); i += 4 {
		word := binary.NativeEndian.Uint32(params[i:])
		code = append(code, asm.StoreImm(asm.RFP, int16(i-len(params)), int64(int32(word)), asm.Word))
	}
	code = append(code,
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, int32(-len(params))),
		asm.Mov.Imm(asm.R3, int32(len(params))), asm.Mov.Imm(asm.R4, 0),
		asm.FnFibLookup.Call(), asm.Return(),
	)
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: code})
	require.NoError(t, err)
	defer prog.Close()
	testutil.In(t, ns, func() error {
		answer, err = prog.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
		return err
	})
	return answer
}

// interfaces are the names of all.
func (p *plane) interfaces(t *testing.T) (names []string) {
	t.Helper()
	testutil.In(t, p.ns, func() error {
		all, err := netlink.LinkList()
		for _, l := range all {
			names = append(names, l.Attrs().Name)
		}
		return err
	})
	return names
}

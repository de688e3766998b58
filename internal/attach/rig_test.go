// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

const (
	pass = 2 // XDP_PASS
	next = -1
	shot = 2 // TC_ACT_SHOT
	drop = 1 // XDP_DROP
)

// way is one way to attach: a hook, a mode, and what the kernel has.
type way struct {
	name string
	hook Hook
	mode bpf.Mode
	k    kernel
}

// ways are all that this kernel can be made to go.
func ways() []way {
	w := []way{
		{"native", TransitXDP, bpf.Native, kernel{tcx: HaveTCX()}},
		{"generic", AgentXDP, bpf.Generic, kernel{tcx: HaveTCX()}},
		{"clsact", AgentTCX, bpf.TCX, kernel{tcx: false}},
	}
	if HaveTCX() {
		w = append(w, way{"tcx", TransitTCX, bpf.TCX, kernel{tcx: true}})
	}
	return w
}

// rig is a veth pair: programs go onto eth0 of ns, packets come from eth0 of the peer.
type rig struct {
	*testing.T
	ns, peer *netns.Handle
	ifindex  int
	dir      string
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, ns: testutil.NewNS(t), peer: testutil.NewNS(t), dir: filepath.Join(testutil.BPFFS(t), "links")}
	require.NoError(t, os.Mkdir(r.dir, 0o700))
	r.wire()
	return r
}

// wire makes the pair, and static neighbours: programs may drop everything.
func (r *rig) wire() {
	testutil.Veth(r, r.ns, "eth0", r.peer, "eth0")
	testutil.Addr(r, r.ns, "eth0", "192.0.2.1/24")
	testutil.Addr(r, r.peer, "eth0", "192.0.2.2/24")
	testutil.Up(r, r.ns, "eth0")
	testutil.Up(r, r.peer, "eth0")
	here := testutil.Link(r, r.ns, "eth0").Attrs()
	testutil.Neighbour(r, r.peer, "eth0", netip.MustParseAddr("192.0.2.1"), here.HardwareAddr)
	r.ifindex = here.Index
}

func (r *rig) in(f func() error) {
	r.Helper()
	testutil.In(r, r.ns, f)
}

func (r *rig) attach(w way, p *ebpf.Program) error {
	return r.ns.Do(func() error {
		return w.k.attach(Spec{Ifindex: r.ifindex, Hook: w.hook, Mode: w.mode, Program: p, Dir: r.dir})
	})
}

func (r *rig) detach(w way) error {
	return r.ns.Do(func() error { return Detach(r.dir, r.ifindex, w.hook) })
}

func (r *rig) update(w way, p *ebpf.Program) error {
	return r.ns.Do(func() error { return Update(r.dir, r.ifindex, w.hook, p) })
}

func (r *rig) list() (all []Pinned) {
	r.Helper()
	r.in(func() (err error) {
		all, err = List(r.dir)
		return err
	})
	return all
}

// state is all that attaching could leave on the interface and in the directory.
func (r *rig) state() []string {
	r.Helper()
	state := []string{}
	r.in(func() error {
		dev, err := netlink.LinkByIndex(r.ifindex)
		if err != nil {
			return err
		}
		if x := dev.Attrs().Xdp; x != nil && x.Attached {
			state = append(state, fmt.Sprintf("xdp mode %d program %d", x.AttachMode, x.ProgId))
		}
		if HaveTCX() {
			there, err := link.QueryPrograms(link.QueryOptions{Target: r.ifindex, Attach: ebpf.AttachTCXIngress})
			if err != nil {
				return err
			}
			for _, p := range there.Programs {
				state = append(state, fmt.Sprintf("tcx program %d", p.ID))
			}
		}
		qdiscs, err := netlink.QdiscList(dev)
		if err != nil {
			return err
		}
		for _, q := range qdiscs {
			state = append(state, "qdisc "+q.Type())
		}
		for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
			filters, err := netlink.FilterList(dev, parent)
			if err != nil {
				return err
			}
			for _, f := range filters {
				state = append(state, fmt.Sprintf("filter %s %x", f.Type(), f.Attrs().Handle))
			}
		}
		return nil
	})
	pins, err := os.ReadDir(r.dir)
	require.NoError(r, err)
	for _, p := range pins {
		state = append(state, "pin "+p.Name())
	}
	return state
}

// counter is a program that counts what it sees.
type counter struct {
	*ebpf.Program
	seen *ebpf.Map
}

func newCounter(t *testing.T, kind ebpf.ProgramType, name string, verdict int32) *counter {
	t.Helper()
	testutil.Root(t)
	seen, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, seen.Close()) })
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:    name,
		Type:    kind,
		License: "Apache-2.0",
		Instructions: asm.Instructions{
			asm.StoreImm(asm.RFP, -4, 0, asm.Word),
			asm.LoadMapPtr(asm.R1, seen.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "out"),
			asm.Mov.Imm(asm.R1, 1),
			asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
			asm.Mov.Imm(asm.R0, verdict).WithSymbol("out"),
			asm.Return(),
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return &counter{p, seen}
}

// passing counts and lets pass; dropping counts and drops.
func (w way) passing(t *testing.T, name string) *counter {
	t.Helper()
	if w.hook.XDP() {
		return newCounter(t, w.hook.kind(), name, pass)
	}
	return newCounter(t, w.hook.kind(), name, next)
}

func (w way) dropping(t *testing.T, name string) *counter {
	t.Helper()
	if w.hook.XDP() {
		return newCounter(t, w.hook.kind(), name, drop)
	}
	return newCounter(t, w.hook.kind(), name, shot)
}

func (c *counter) count(t testing.TB) (n uint64) {
	t.Helper()
	require.NoError(t, c.seen.Lookup(uint32(0), &n))
	return n
}

func (c *counter) id(t testing.TB) ebpf.ProgramID {
	t.Helper()
	id, err := programID(c.Program)
	require.NoError(t, err)
	return id
}

// runs tells whether a program sees what comes in: packets are sent until it does, or for a while.
func (r *rig) runs(c *counter) bool {
	r.Helper()
	send, err := testutil.DialUDP(r, r.peer, netip.AddrPort{}, netip.MustParseAddrPort("192.0.2.1:9"))
	require.NoError(r, err)
	defer send.Close()
	before := c.count(r)
	timeout := time.NewTimer(100 * time.Millisecond)
	defer timeout.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		_, _ = send.Write([]byte("hello")) // refused where nobody listens, on the packet before
		if c.count(r) > before {
			return true
		}
		select {
		case <-timeout.C:
			return false
		case <-tick.C:
		}
	}
}

// field reads a number out of /proc/net/snmp: a line of names, then one of values.
func field(t testing.TB, snmp, protocol, name string) string {
	t.Helper()
	var names []string
	for line := range strings.Lines(snmp) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != protocol+":" {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		at := slices.Index(names, name)
		require.Positive(t, at)
		return words[at]
	}
	t.Fatalf("no %s in snmp", protocol)
	return ""
}

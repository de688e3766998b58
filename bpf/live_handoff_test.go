// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/testutil"
)

const handoffMagic = 0x6d697a61 // HANDOFF_MAGIC, where there is no secret

// withMetadata is an XDP program that redirects to an interface, with words in the metadata area.
func withMetadata(t *testing.T, ifindex int, words [3]uint32) *ebpf.Program {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.Mov.Imm(asm.R2, -12),
		asm.FnXdpAdjustMeta.Call(),
		asm.LoadMem(asm.R1, asm.R6, 8, asm.Word), // data_meta
		asm.LoadMem(asm.R2, asm.R6, 0, asm.Word), // data
		asm.Mov.Reg(asm.R3, asm.R1),
		asm.Add.Imm(asm.R3, 12),
		asm.JGT.Reg(asm.R3, asm.R2, "out"),
		asm.StoreImm(asm.R1, 0, int64(words[0]), asm.Word),
		asm.StoreImm(asm.R1, 4, int64(words[1]), asm.Word),
		asm.StoreImm(asm.R1, 8, int64(words[2]), asm.Word),
		asm.Mov.Imm(asm.R1, int32(ifindex)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return(),
	}})
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

// T6: XDP leaves a packet to tcx by a word in the metadata area, and tcx sends it as it is. A workload
// that may use XDP itself writes that area, too: metadata survives a redirect through a veth.
func TestT6MetadataOfAnEndpoint(t *testing.T) {
	h, _ := lone(t, false)
	defer logCounters(t, h)
	var eth0, x0 int
	inNS(t, h.workload, func() (err error) {
		if eth0, err = setUp("eth0"); err != nil {
			return err
		}
		if err := addVeth("x0", mtu, nil, "x1", nil, h.workload); err != nil {
			return err
		}
		x0, err = setUp("x0")
		if err != nil {
			return err
		}
		l, err := link.AttachXDP(link.XDPOptions{Interface: x0, Flags: link.XDPDriverMode,
			Program: withMetadata(t, eth0, [3]uint32{handoffMagic, 0, uint32(h.droplet)})})
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		_, err = setUp("x1")
		return err
	})
	// Not wrapped, it would be from the host itself.
	forged := inner(t, macA, macVirtual, host4, far4, 100)
	r := &rig{t: t, tables: h.tables}
	testutil.Eventually(t, 20*time.Second, func() error {
		inNS(t, h.workload, func() error { return sendFrame("x1", forged) })
		if n := r.counters(); n[TableReasonREASON_RESOLVE]+n[TableReasonDROP_SPOOF_ADDRESS] == 0 {
			return errors.New("the agent saw no packet")
		}
		return nil
	})
	require.Zero(t, r.counters()[TableReasonREASON_RESOLVE], "sent as it is")
}

// Nothing that an endpoint sends is the host's, also where the kernel has an XDP program left out: generic XDP does not see
// what a workload's act_mirred redirected (seen on 6.12).
func TestT6MetadataForTheHost(t *testing.T) {
	h, _ := lone(t, false)
	defer logCounters(t, h)
	was := &rig{t: t, tables: h.tables}
	was.put(h.tables.Agents, uint32(h.agent), TableAgent{Vni: vni, Flags: TableAgentFlagsAGENT_XDP, Mac: [6]byte(macA), Mtu: innerMTU})
	var eth0, x0 int
	inNS(t, h.workload, func() (err error) {
		if eth0, err = setUp("eth0"); err != nil {
			return err
		}
		if err := addVeth("x0", mtu, nil, "x1", nil, h.workload); err != nil {
			return err
		}
		x0, err = setUp("x0")
		if err != nil {
			return err
		}
		l, err := link.AttachXDP(link.XDPOptions{Interface: x0, Flags: link.XDPDriverMode,
			Program: withMetadata(t, eth0, [3]uint32{handoffMagic, 0, 0})})
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		_, err = setUp("x1")
		return err
	})
	// From the host itself, it says.
	forged := inner(t, macA, macVirtual, host4, far4, 100)
	testutil.Eventually(t, 20*time.Second, func() error {
		inNS(t, h.workload, func() error { return sendFrame("x1", forged) })
		if was.counters()[TableReasonDROP_SPOOF_ADDRESS] == 0 {
			return errors.New("nothing was dropped")
		}
		return nil
	})
}

// T6: nor does XDP pass on to tcx what somebody wrote there.
func TestT6MetadataPassed(t *testing.T) {
	r := newRig(t)
	frame := mutate(tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, f4, a4, 9)), func(b []byte) { b[37]++ })
	for _, c := range []struct {
		name string
		word uint32
		left int
	}{{"as if ours", handoffMagic, 0}, {"another's", 1, 16}} {
		meta := make([]byte, 16)
		binary.NativeEndian.PutUint32(meta, c.word)
		type md struct{ Data, DataEnd, Meta, Ingress, Queue, Egress uint32 }
		in := append(meta, frame...)
		var after md
		out := make([]byte, 1024)
		opts := &ebpf.RunOptions{Data: in, DataOut: out, ContextOut: &after,
			Context: md{Data: uint32(len(meta)), DataEnd: uint32(len(in)), Ingress: uint32(r.droplet)}}
		inNS(t, r.ns, func() error {
			act, err := r.p.TransitXDP.Run(opts)
			require.Equal(t, uint32(2), act, "passed")
			return err
		})
		require.Equal(t, c.left, int(after.Data), c.name)
		require.Equal(t, frame, opts.DataOut[c.left:], c.name)
	}
}

// sendFrame writes a frame to an interface.
func sendFrame(name string, frame []byte) error {
	ifindex, err := setUp(name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifindex})
}

// T6: a droplet that runs no XDP of ours takes no word from XDP, and one that does no other word than ours.
// It sends what comes with one as it is, so the packet would be from the host itself.
func TestT6MetadataOnAWire(t *testing.T) {
	for _, c := range []struct {
		name string
		row  TableDropletFlags // what it is said to run; XDP never does
		word uint32
	}{
		{"no xdp", 0, handoffMagic},
		{"another's word", TableDropletFlagsDROPLET_XDP, 1},
		{"not the secret", TableDropletFlagsDROPLET_XDP, handoffMagic},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, world := lone(t, false)
			defer logCounters(t, h)
			r := &rig{t: t, tables: h.tables}
			r.put(h.tables.Droplets, uint32(h.droplet), TableDroplet{Source4: address(host4), Mtu: mtu, Flags: c.row})
			if c.name == "not the secret" {
				r.settings(func(s *TableSettings) { s.Secret = 1 << 32 })
			}
			inNS(t, world, func() error {
				w0, err := setUp("w0")
				if err != nil {
					return err
				}
				if err := addVeth("x0", mtu, nil, "x1", nil, world); err != nil {
					return err
				}
				x0, err := setUp("x0")
				if err != nil {
					return err
				}
				l, err := link.AttachXDP(link.XDPOptions{Interface: x0, Flags: link.XDPDriverMode,
					Program: withMetadata(t, w0, [3]uint32{c.word, 0, uint32(h.droplet)})})
				if err != nil {
					return err
				}
				t.Cleanup(func() { l.Close() })
				_, err = setUp("x1")
				return err
			})
			// Dropped, where it is read at all.
			b := tunnel(t, stranger4, host4, vni, nil, inner(t, macFar, macVirtual, f4, a4, 9))
			testutil.Eventually(t, 20*time.Second, func() error {
				inNS(t, world, func() error { return sendFrame("x1", b) })
				if n := r.counters(); n[TableReasonREASON_RESOLVE]+n[TableReasonDROP_PEER] == 0 {
					return errors.New("the droplet saw no packet")
				}
				return nil
			})
			require.Zero(t, r.counters()[TableReasonREASON_RESOLVE], "sent as it is")
		})
	}
}

// An agent in XDP, too, leaves to tcx what only the kernel can send: the first packet, at least.
func TestLiveAgentXDP(t *testing.T) {
	h, world := lone(t, true)
	defer logCounters(t, h)
	r := &rig{t: t, tables: h.tables}
	r.put(h.tables.Agents, uint32(h.agent), TableAgent{Vni: vni, Flags: TableAgentFlagsAGENT_XDP, Mac: [6]byte(macA), Mtu: innerMTU, Traffic: 2})
	inNS(t, h.ns, func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: h.p.AgentXDP, Interface: h.agent, Flags: link.XDPDriverMode})
		if err == nil {
			t.Cleanup(func() { l.Close() })
		}
		return err
	})
	out := inner(t, macA, macVirtual, a4, f4, 100)
	receives(t, listenUDP(t, world, netip.AddrPortFrom(far4, port)), tunnel(t, host4, far4, vni, nil, sent(out))[14+20+8:], func() {
		inNS(t, h.workload, func() error { return sendFrame("eth0", out) })
	})
	require.NotZero(t, r.counters()[TableReasonREASON_RESOLVE])
}

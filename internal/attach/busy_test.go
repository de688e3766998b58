// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
)

// refuses checks that an attempt is answered by an error, of a kind if one is given, and changes nothing.
func (r *rig) refuses(w way, p *ebpf.Program, want error) error {
	r.Helper()
	before := r.state()
	err := r.attach(w, p)
	require.Error(r, err)
	if want != nil {
		require.ErrorIs(r, err, want)
	}
	require.Equal(r, before, r.state())
	return err
}

func TestBusyXDP(t *testing.T) {
	testutil.Root(t)
	native := way{hook: TransitXDP, mode: bpf.Native}
	generic := way{hook: TransitXDP, mode: bpf.Generic}
	others := map[string]func(r *rig, theirs *counter) (take func() error){
		"link": func(r *rig, theirs *counter) func() error {
			var l link.Link
			r.in(func() (err error) {
				l, err = link.AttachXDP(link.XDPOptions{Program: theirs.Program, Interface: r.ifindex, Flags: link.XDPDriverMode})
				return err
			})
			return l.Close
		},
		"netlink": func(r *rig, theirs *counter) func() error {
			set := func(fd int) error {
				return r.ns.Do(func() error {
					return netlink.LinkSetXdpFdWithFlags(testutil.Link(r, r.ns, "eth0"), fd, unix.XDP_FLAGS_DRV_MODE)
				})
			}
			require.NoError(r, set(theirs.FD()))
			return func() error { return set(-1) }
		},
	}
	for name, put := range others {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			theirs, ours := native.passing(t, "theirs"), native.passing(t, "ours")
			take := put(r, theirs)
			r.refuses(native, ours.Program, ErrBusy)
			r.refuses(generic, ours.Program, ErrBusy)
			require.True(t, r.runs(theirs))
			require.NoError(t, take())
			require.NoError(t, r.attach(native, ours.Program))
			require.True(t, r.runs(ours))
			require.NoError(t, r.detach(native))
		})
	}
}

// Others' tcx programs are no obstacle: ours goes first. One of the same name is another data-plane's.
func TestBusyTCX(t *testing.T) {
	testutil.Root(t)
	if !HaveTCX() {
		return
	}
	w := way{hook: TransitTCX, k: kernel{tcx: true}}
	r := newRig(t)
	theirs, second := w.dropping(t, "theirs"), w.passing(t, "transit")
	var l link.Link
	r.in(func() (err error) {
		l, err = link.AttachTCX(link.TCXOptions{Program: theirs.Program, Interface: r.ifindex, Attach: ebpf.AttachTCXIngress})
		return err
	})
	ours := w.passing(t, "transit")
	require.NoError(t, r.attach(w, ours.Program))
	require.True(t, r.runs(ours), "before the one that drops")
	require.True(t, r.runs(theirs))

	elsewhere := *r
	elsewhere.dir = testutil.BPFFS(t)
	err := elsewhere.refuses(w, second.Program, ErrBusy)
	require.ErrorContains(t, err, "transit")
	require.ErrorIs(t, elsewhere.attach(w, ours.Program), ErrBusy, "the same program")

	require.NoError(t, r.detach(w))
	// Who may not look at others' programs is not kept from attaching.
	require.NoError(t, r.ns.Do(func() (err error) {
		testutil.Without(t, unix.CAP_SYS_ADMIN, func() {
			err = Attach(Spec{Ifindex: r.ifindex, Hook: w.hook, Program: ours.Program, Dir: r.dir})
		})
		return err
	}))
	require.True(t, r.runs(ours))
	require.NoError(t, r.detach(w))

	require.NoError(t, elsewhere.attach(w, second.Program))
	require.True(t, r.runs(second))
	require.NoError(t, elsewhere.detach(w))
	require.True(t, r.runs(theirs))
	require.NoError(t, l.Close())
}

func TestBusyClsact(t *testing.T) {
	testutil.Root(t)
	w := way{hook: TransitTCX}
	theirs := func(r *rig, p *ebpf.Program) netlink.Filter {
		f := newFilter(r.ifindex, TransitTCX, p)
		f.Name, f.Handle = "theirs", 1
		return f
	}
	t.Run("theirs at the same priority", func(t *testing.T) {
		r := newRig(t)
		a, b := w.passing(t, "a"), w.passing(t, "b")
		r.in(func() error {
			return errors.Join(netlink.QdiscAdd(clsact(r.ifindex)), netlink.FilterAdd(theirs(r, a.Program)))
		})
		before := r.state()
		require.NoError(t, r.attach(w, b.Program))
		require.True(t, r.runs(a))
		require.True(t, r.runs(b))
		require.NoError(t, r.detach(w))
		require.Equal(t, before, r.state(), "their filter and qdisc stay")
		require.True(t, r.runs(a))
	})
	t.Run("of another protocol", func(t *testing.T) {
		r, p := newRig(t), w.passing(t, "theirs")
		r.in(func() error {
			f := newFilter(r.ifindex, TransitTCX, p.Program)
			f.Protocol = unix.ETH_P_IP
			return errors.Join(netlink.QdiscAdd(clsact(r.ifindex)), netlink.FilterAdd(f))
		})
		r.refuses(w, w.passing(t, "ours").Program, ErrBusy)
	})
	t.Run("another data-plane", func(t *testing.T) {
		r := newRig(t)
		a, b := w.passing(t, "a"), w.passing(t, "b")
		require.NoError(t, r.attach(w, a.Program))
		elsewhere := *r
		elsewhere.dir = testutil.BPFFS(t)
		elsewhere.refuses(w, b.Program, ErrBusy)
		require.NoError(t, elsewhere.detach(w), "nothing of its own")
		require.True(t, r.runs(a))
		require.NoError(t, r.detach(w))
	})
	t.Run("ingress qdisc", func(t *testing.T) {
		r := newRig(t)
		r.in(func() error {
			return netlink.QdiscAdd(&netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: r.ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS}})
		})
		before, p := r.state(), w.passing(t, "ours")
		require.NoError(t, r.attach(w, p.Program))
		require.True(t, r.runs(p), "it serves as well")
		require.NoError(t, r.detach(w))
		r.in(func() error { return DetachClsact(r.ifindex) })
		require.Equal(t, before, r.state())
	})
}

func TestClsactQdisc(t *testing.T) {
	testutil.Root(t)
	w := way{hook: TransitTCX}
	r := newRig(t)
	clean := r.state()
	needs := func(k kernel) (yes bool) {
		r.in(func() (err error) {
			yes, err = k.needsClsact(r.ifindex)
			return err
		})
		return yes
	}
	require.True(t, needs(kernel{tcx: false}))
	require.False(t, needs(kernel{tcx: true}))
	p := w.passing(t, "ours")
	require.NoError(t, r.attach(w, p.Program))
	require.False(t, needs(kernel{tcx: false}), "there is one")

	r.in(func() error { return DetachClsact(r.ifindex) })
	require.True(t, r.runs(p), "not while a filter is there")
	require.NoError(t, r.detach(w))

	egress := newFilter(r.ifindex, TransitTCX, p.Program)
	egress.Parent = netlink.HANDLE_MIN_EGRESS
	r.in(func() error { return netlink.FilterAdd(egress) })
	r.in(func() error { return DetachClsact(r.ifindex) })
	require.Contains(t, r.state(), "qdisc clsact", "nor while others have a filter at egress")
	egress.Fd = -1
	r.in(func() error { return netlink.FilterDel(egress) })
	r.in(func() error { return DetachClsact(r.ifindex) })
	require.Equal(t, clean, r.state())
	r.in(func() error { return DetachClsact(r.ifindex) })
	r.in(func() error { return DetachClsact(1 << 30) })
	require.NoError(t, r.ns.Do(func() error {
		_, err := NeedsClsact(r.ifindex)
		return err
	}))
	_, err := kernel{}.needsClsact(1 << 30)
	require.ErrorIs(t, err, ErrNotFound)
}

// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/probe"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// load loads a probe under a name, and lets go of it.
func load(t testing.TB, dp *Dataplane, name string, says uint32, set map[string]uint32) {
	t.Helper()
	f, err := dp.Function.Load(t.Context(), name, probe.Spec(t, says, set))
	require.NoError(t, err)
	require.Equal(t, name, f.Name)
	require.True(t, f.XDP)
	require.NoError(t, f.Close())
}

func TestFunctions(t *testing.T) {
	testutil.Leaks(t)
	h := newHost(t)
	dp := h.open(t)
	ctx := t.Context()
	before := h.files(t)

	for _, name := range []string{"", "a.b", "../x", "a/b", "a b"} {
		_, err := dp.Function.Load(ctx, name, probe.Spec(t, probe.Next, nil))
		require.ErrorIs(t, err, ErrInvalid, name)
	}
	f, err := dp.Function.Load(ctx, "one", probe.Spec(t, probe.Drop, nil))
	require.NoError(t, err)
	reason := f.Reasons[probe.Reason]
	require.GreaterOrEqual(t, reason, bpf.TableReasonREASON_FUNCTION_FIRST)
	var maps struct {
		Probed *ebpf.Map `ebpf:"probed"`
	}
	require.NoError(t, f.Assign(&maps))
	require.Same(t, f.Maps["probed"], maps.Probed)
	require.Error(t, f.Assign(&struct {
		Nothing *ebpf.Map `ebpf:"nothing"`
	}{}))
	require.NoError(t, maps.Probed.Put(uint32(0), probe.ProbeSaw{Count: 5}))
	require.NoError(t, f.Close())
	_, err = dp.Function.Load(ctx, "one", probe.Spec(t, probe.Next, nil))
	require.ErrorIs(t, err, ErrExists)
	load(t, dp, "two", probe.Next, nil)
	require.Equal(t, []string{"one", "two"}, collect(t, dp.Function.List(ctx)))

	// They are there for the next process, with what is in their maps.
	require.NoError(t, dp.Close())
	dp = h.open(t)
	f, err = dp.Function.Get(ctx, "one")
	require.NoError(t, err)
	require.Equal(t, reason, f.Reasons[probe.Reason])
	require.EqualValues(t, 5, probe.Seen(t, f.Maps).Count)
	require.NoError(t, f.Close())
	_, err = dp.Function.Get(ctx, "three")
	require.ErrorIs(t, err, ErrNotFound)

	// One that is in a chain stays.
	require.NoError(t, dp.Stage.Set(ctx, StageParse, Scope{}, "two", "one", "two"))
	require.ErrorIs(t, dp.Function.Remove(ctx, "one"), ErrInUse)
	require.NoError(t, dp.Stage.Clear(ctx, StageParse, Scope{}))
	require.NoError(t, dp.Function.Remove(ctx, "one"))
	require.NoError(t, dp.Function.Remove(ctx, "two"))
	require.ErrorIs(t, dp.Function.Remove(ctx, "one"), ErrNotFound)
	require.Empty(t, collect(t, dp.Function.List(ctx)))
	require.Equal(t, before, h.files(t))
	require.Equal(t, []string{"v2"}, entries(t, h.pins().dir))
	require.NoError(t, dp.Destroy(ctx))
}

// A function that the verifier refuses leaves nothing, and its log is there.
func TestFunctionThatTheVerifierRefuses(t *testing.T) {
	testutil.Leaks(t)
	h := newHost(t)
	dp := h.open(t)
	spec := probe.Spec(t, probe.Next, nil)
	for _, p := range spec.Programs {
		p.Instructions = p.Instructions[1:]
	}
	_, err := dp.Function.Load(t.Context(), "bad", spec)
	var verifier *ebpf.VerifierError
	require.ErrorAs(t, err, &verifier)
	require.NotEmpty(t, verifier.Log)
	spec = probe.Spec(t, probe.Next, nil)
	require.NoError(t, spec.Variables["mizar_function_abi"].Set(uint32(99)))
	_, err = dp.Function.Load(t.Context(), "bad", spec)
	require.ErrorIs(t, err, ErrABI)
	require.Empty(t, collect(t, dp.Function.List(t.Context())))
	require.Equal(t, []string{"v2"}, entries(t, h.pins().dir))
	for r, err := range dp.rows.Reasons.All() {
		require.NoError(t, err)
		t.Errorf("reason %v stays", r)
	}
	load(t, dp, "bad", probe.Next, nil) // the name is free
	require.NoError(t, dp.Destroy(t.Context()))
}

func TestStages(t *testing.T) {
	testutil.Leaks(t)
	h, other := newHosts(t)
	dp := h.open(t)
	ctx := t.Context()
	c := contentsOf(h, other, 1, 2)
	workload := testutil.NewNS(t)
	require.NoError(t, c.fill(ctx, dp, droplet.TCX, endpoint.FD(workload.FD())))
	local := collect(t, dp.Endpoint.Local(ctx))[0]
	for _, name := range []string{"a", "b", "c"} {
		load(t, dp, name, probe.Next, nil)
	}
	mine := Scope{VNI: vni, Addr: c.local.Addr()}
	for _, s := range []struct {
		stage Stage
		scope Scope
		names []string
		want  error
	}{
		{StageSend, Scope{}, []string{"a"}, nil},
		{StageDeliver, Scope{VNI: vni}, []string{"a", "b", "a"}, nil},
		{StageDeliver, mine, []string{"c"}, nil},
		{StageDrop, mine, []string{"b"}, nil},
		{StageParse, mine, []string{"a"}, ErrInvalid},
		{StageForward, mine, []string{"a"}, ErrInvalid},
		{0, Scope{}, []string{"a"}, ErrInvalid},
		{StageDrop + 1, Scope{}, []string{"a"}, ErrInvalid},
		{StageSend, Scope{VNI: 1 << 24}, []string{"a"}, ErrInvalid},
		{StageSend, Scope{VNI: vni, Addr: c.remote.Addr}, []string{"a"}, ErrNotFound},
		{StageSend, Scope{VNI: vni, Addr: netip.MustParseAddr("10.0.0.99")}, []string{"a"}, ErrNotFound},
		{StageSend, Scope{}, []string{"nobody"}, ErrNotFound},
		{StageParse, Scope{}, slices.Repeat([]string{"a"}, 33), ErrTooLong},
		{StageParse, Scope{}, slices.Repeat([]string{"a"}, 5000), ErrTooLong},
	} {
		err := dp.Stage.Set(ctx, s.stage, s.scope, s.names...)
		require.ErrorIs(t, err, s.want, "%v %v", s.stage, s.scope)
		if s.want == nil {
			got, err := dp.Stage.Get(ctx, s.stage, s.scope)
			require.NoError(t, err)
			require.Equal(t, s.names, got.Functions)
		}
	}
	// What could be, is the longest: parse, deliver and drop of one packet.
	require.NoError(t, dp.Stage.Set(ctx, StageParse, Scope{}, slices.Repeat([]string{"a"}, 33-1-(3+1)-(1+1)-(1+1))...))
	require.ErrorIs(t, dp.Stage.Set(ctx, StageDrop, mine, "a", "b"), ErrTooLong)
	require.NoError(t, dp.Stage.Clear(ctx, StageParse, Scope{}))

	want := []Chain{
		{StageDeliver, vni, 0, []string{"a", "b", "a"}},
		{StageDeliver, vni, local.Ifindex, []string{"c"}},
		{StageDrop, vni, local.Ifindex, []string{"b"}},
		{StageSend, 0, 0, []string{"a"}},
	}
	require.ElementsMatch(t, want, collect(t, dp.Stage.List(ctx)))
	v, err := InspectAt(h.bpffs, h.name)
	require.NoError(t, err)
	require.ElementsMatch(t, want, collect(t, v.Stages(ctx)))
	require.NoError(t, v.Close())
	// Also to the next process; and settings that it brings change nothing of it.
	require.NoError(t, dp.Close())
	config := h.config()
	config.EventsPerSecond = 77
	dp, err = Open(ctx, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dp.Close()) })
	require.ElementsMatch(t, want, collect(t, dp.Stage.List(ctx)))
	settings, err := dp.rows.Settings.Get()
	require.NoError(t, err)
	require.EqualValues(t, 77, settings.EventsPerSecond)
	var raw bpf.TableSettings
	require.NoError(t, dp.tables.Settings.Lookup(uint32(0), &raw))
	require.EqualValues(t, 1<<StageSend|1<<StageDeliver|1<<StageDrop, raw.Stages)
	// An endpoint's go with it.
	require.NoError(t, dp.Endpoint.Delete(ctx, local.HostInterface))
	require.ElementsMatch(t, []Chain{want[0], want[3]}, collect(t, dp.Stage.List(ctx)))
	_, err = dp.Stage.Get(ctx, StageDeliver, mine)
	require.ErrorIs(t, err, ErrNotFound)
	require.NoError(t, dp.Destroy(ctx))
	require.Empty(t, h.files(t))
}

// What a function drops is counted, and told of, by the name that it has for it; and Clear ends it.
func TestFunctionDrops(t *testing.T) {
	testutil.Leaks(t)
	f := newFleet(t, droplet.TCX)
	ctx := t.Context()
	dp := f.b.open(t)
	load(t, dp, "gate", probe.Drop, nil)
	f.requirePing(t)
	scope := Scope{VNI: vni, Addr: netip.MustParseAddr("10.0.0.2")}
	require.NoError(t, dp.Stage.Set(ctx, StageDeliver, scope, "gate"))
	p := testutil.StartPing(t, f.web, testutil.PingConfig{Dst: scope.Addr, Interval: 2 * time.Millisecond, Timeout: 100 * time.Millisecond, Count: 20})
	for e, err := range dp.Stats.Events(ctx) {
		require.NoError(t, err)
		if e.Name == "gate.probe" {
			require.EqualValues(t, vni, e.VNI)
			break
		}
	}
	r := p.Wait()
	require.Equal(t, r.Sent, r.Lost)
	counted := false
	for c, err := range dp.Stats.Counters(ctx) {
		require.NoError(t, err)
		if c.Name == "gate.probe" {
			require.EqualValues(t, r.Sent, c.Packets)
			counted = true
		}
	}
	require.True(t, counted)
	require.NoError(t, dp.Stage.Clear(ctx, StageDeliver, scope))
	f.requirePing(t)
	require.NoError(t, dp.Close())
	f.destroy(t)
}

// A function that works in tcx alone is refused where XDP runs.
func TestFunctionForTCXAlone(t *testing.T) {
	testutil.Leaks(t)
	for _, mode := range []droplet.Mode{droplet.TCX, droplet.Generic} {
		h := newHost(t)
		dp := h.open(t)
		spec := probe.Spec(t, probe.Next, nil)
		delete(spec.Programs, "function_xdp")
		f, err := dp.Function.Load(t.Context(), "mirror", spec)
		require.NoError(t, err)
		require.False(t, f.XDP)
		require.NoError(t, f.Close())
		_, err = dp.Droplet.Attach(t.Context(), droplet.Config{Interface: "eth0", Mode: mode})
		require.NoError(t, err)
		err = dp.Stage.Set(t.Context(), StageParse, Scope{}, "mirror")
		if mode.XDP() {
			require.ErrorIs(t, err, ErrNotSupported)
		} else {
			require.NoError(t, err)
		}
		require.NoError(t, dp.Destroy(t.Context()))
	}
}

// datagrams go from one workload to another in batches, each of which has to arrive whole before the next.
type datagrams struct{ from, to int }

func newDatagrams(t testing.TB, f *fleet) *datagrams {
	t.Helper()
	d := new(datagrams)
	socket := func() int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, unix.Close(fd)) })
		require.NoError(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
		return fd
	}
	to := &unix.SockaddrInet4{Port: 9999, Addr: [4]byte{10, 0, 0, 2}}
	testutil.In(t, f.far, func() error {
		d.to = socket()
		return unix.Bind(d.to, to)
	})
	testutil.In(t, f.web, func() error {
		d.from = socket()
		// Functions change payload: a checksum would be wrong then.
		if err := unix.SetsockoptInt(d.from, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
			return err
		}
		return unix.Connect(d.from, to)
	})
	return d
}

// batch sends n packets of 64 bytes, and returns the byte at 3 of each that arrived.
func (d *datagrams) batch(n int) (marks []byte, err error) {
	payload, got := make([]byte, 64), make([]byte, 128)
	for range n {
		if _, err := unix.Write(d.from, payload); err != nil {
			return nil, err
		}
	}
	for range n {
		m, err := unix.Read(d.to, got)
		if err != nil {
			return marks, fmt.Errorf("%d of %d arrived: %w", len(marks), n, err)
		}
		if m != len(payload) {
			return marks, fmt.Errorf("%d bytes arrived", m)
		}
		marks = append(marks, got[3])
	}
	return marks, nil
}

// Chains are exchanged under a flood: each packet runs through all of one chain and nothing of the other, and none
// is lost.
func TestT17ChainSwaps(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		swaps := 1000
		if mode != droplet.TCX {
			swaps = 200 // each takes a grace period
		}
		f := newFleet(t, mode)
		dp := f.b.open(t)
		ctx := t.Context()
		const where = 20 + 8 + 3
		load(t, dp, "one", probe.Next, map[string]uint32{"where": where, "mark": 1})
		load(t, dp, "sixteen", probe.Next, map[string]uint32{"where": where, "mark": 16})
		chains := [][]string{{"one", "one", "one"}, {"sixteen", "sixteen"}}
		const marked0, marked1 = 3, 32
		scope := Scope{VNI: vni}
		require.NoError(t, dp.Stage.Set(ctx, StageDeliver, scope, chains[0]...))
		d := newDatagrams(t, f)

		var stop atomic.Bool
		var sent [2]uint64
		done := make(chan error, 1)
		go func() {
			done <- func() error {
				for !stop.Load() {
					marks, err := d.batch(64)
					if err != nil {
						return err
					}
					for _, m := range marks {
						switch m {
						case marked0:
							sent[0]++
						case marked1:
							sent[1]++
						default:
							return fmt.Errorf("a packet arrived marked %d", m)
						}
					}
				}
				return nil
			}()
		}()
		start := time.Now()
		var err error
		for i := range swaps {
			if err = dp.Stage.Set(ctx, StageDeliver, scope, chains[(i+1)%2]...); err != nil {
				break
			}
			if len(done) > 0 {
				break
			}
		}
		stop.Store(true)
		err = errors.Join(err, <-done)
		t.Logf("%d swaps in %v, packets by chain: %d", swaps, time.Since(start), sent)
		if err != nil {
			logCounters(t, f.a, f.b)
		}
		require.NoError(t, err)
		require.NotZero(t, sent[0])
		require.NotZero(t, sent[1])
		require.NoError(t, dp.Close())
		f.destroy(t)
	})
}

// ends are how many slots of the prog arrays are those that functions come back by.
func (h *host) ends(t testing.TB) (n int) {
	t.Helper()
	tables, err := bpf.LoadPinnedTables(h.pins().tables())
	require.NoError(t, err)
	defer tables.Close()
	for _, m := range []*ebpf.Map{tables.StagesXDP, tables.StagesTCX} {
		for slot := bpf.TableSlotSLOT_NONE; slot < bpf.TableSlotSLOT_FIRST; slot++ {
			var id uint32
			if m.Lookup(slot, &id) == nil {
				n++
			}
		}
	}
	return n
}

// TestT18UpgradeOfFunctions: a packet that is in a function while the programs are replaced comes back to those that it
// came from, and is not lost. Where the upgrade fails, the next has slots to have functions come back by.
func TestT18UpgradeOfFunctions(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		f := newFleet(t, mode)
		dp := f.a.open(t)
		ctx := t.Context()
		load(t, dp, "one", probe.Next, map[string]uint32{"where": 20 + 8 + 3, "mark": 1})
		const chain = 20
		require.NoError(t, dp.Stage.Set(ctx, StageSend, Scope{}, slices.Repeat([]string{"one"}, chain)...))
		require.NoError(t, dp.Close())
		d := newDatagrams(t, f)
		var stop atomic.Bool
		done := make(chan error, 1)
		go func() {
			done <- func() error {
				for !stop.Load() {
					marks, err := d.batch(64)
					if err != nil {
						return err
					}
					for _, m := range marks {
						if m != chain {
							return fmt.Errorf("a packet arrived marked %d", m)
						}
					}
				}
				return nil
			}()
		}()
		f.a.foreign(t)
		f.a.failEach(t, func(step string) {
			f.a.requirePinned(t)
			require.Equal(t, 4, f.a.ends(t), step)
		})
		require.Equal(t, 4, f.a.ends(t))
		stop.Store(true)
		err := <-done
		if err != nil {
			logCounters(t, f.a, f.b)
		}
		require.NoError(t, err)
		f.destroy(t)
	})
}

// Who looks at an instance sees one, also while its functions come and go.
func TestInspectWhileFunctionsComeAndGo(t *testing.T) {
	testutil.Leaks(t)
	h := newHost(t)
	dp := h.open(t)
	var stop atomic.Bool
	done := make(chan error, 1)
	go func() {
		var err error
		for err == nil && !stop.Load() {
			var v *View
			if v, err = InspectAt(h.bpffs, h.name); err == nil {
				err = v.Close()
			}
		}
		done <- err
	}()
	for range 50 {
		load(t, dp, "one", probe.Next, nil)
		require.NoError(t, dp.Function.Remove(t.Context(), "one"))
	}
	stop.Store(true)
	require.NoError(t, <-done)
	require.NoError(t, dp.Destroy(t.Context()))
}

// A function that passes packets to the host's stack sees each once: tcx behind XDP does not have it see them again.
func TestFunctionPasses(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		f := newFleet(t, mode)
		ctx := t.Context()
		dp := f.b.open(t)
		load(t, dp, "pass", probe.Pass, nil)
		require.NoError(t, dp.Stage.Set(ctx, StageParse, Scope{VNI: vni}, "pass"))
		fn, err := dp.Function.Get(ctx, "pass")
		require.NoError(t, err)
		defer fn.Close()
		var stack *net.UDPConn // of the host, that gets tunnel packets as it would any others
		testutil.In(t, f.b.ns, func() (err error) {
			stack, err = net.ListenUDP("udp4", &net.UDPAddr{Port: maps.DefaultPort})
			return err
		})
		defer stack.Close()
		var conn net.Conn
		testutil.In(t, f.web, func() (err error) {
			conn, err = net.Dial("udp", "10.0.0.2:9")
			return err
		})
		defer conn.Close()
		b := make([]byte, 2000)
		for range 20 {
			_, err := conn.Write(make([]byte, 64))
			require.NoError(t, err)
			require.NoError(t, stack.SetReadDeadline(time.Now().Add(patience)))
			n, err := stack.Read(b)
			require.NoError(t, err)
			require.Equal(t, 8+14+20+8+64, n)
			require.EqualValues(t, 1, probe.Seen(t, fn.Maps).Count)
		}
		require.NoError(t, dp.Close())
		f.destroy(t)
	})
}

// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// One goroutine sends back what it receives, another sends what it writes, a third reads counters and
// moves deadlines, until all are closed under their hands.
func TestConcurrentUse(t *testing.T) {
	r := newRig(t, 0)
	p, s := r.open(Config{RingSize: 32})
	require.NoError(t, s.SetDeadline(time.Time{}))
	w := r.wire()
	done := make(chan struct{})
	var all sync.WaitGroup
	work := func(step func(frames []Frame) error) {
		all.Go(func() {
			frames := make([]Frame, 16)
			for {
				if err := step(frames); err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	work(func(frames []Frame) error {
		n, err := s.Recv(frames)
		if err == nil && n > 1 {
			frames[0].Release()
		}
		if err == nil {
			_, err = s.Send(frames[:n])
		}
		return err
	})
	work(func(frames []Frame) error {
		n, err := s.Alloc(frames)
		for i := range frames[:n] {
			if err := frames[i].Set(make([]byte, 60)); err != nil {
				return err
			}
		}
		if err == nil {
			_, err = s.Send(frames[:n])
		}
		return err
	})
	work(func([]Frame) error {
		_, err := s.Stats()
		if err == nil {
			err = s.SetDeadline(time.Now().Add(patience))
		}
		return err
	})
	all.Go(func() {
		b := numbered(t, 1, 100)
		for {
			select {
			case <-done:
				return
			default:
				_, _ = unix.Write(w.fd, b) // which may be too much at once
			}
		}
	})
	testutil.Eventually(t, patience, func() error {
		st, err := s.Stats()
		if err == nil && (st.Received < 2000 || st.Sent < 4000) {
			err = errors.New("too little traffic yet")
		}
		return err
	})
	st, err := s.Stats()
	require.NoError(t, err)
	assert.Zero(t, st.Invalid)
	assert.Zero(t, st.InvalidTx)
	assert.Zero(t, st.InvalidFill)
	require.NoError(t, p.Close())
	close(done)
	all.Wait()
}

// Another's program stays where it is.
func TestOthersProgram(t *testing.T) {
	r := newRig(t, 0)
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, xdpPass), asm.Return(),
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, program.Close()) })
	ifindex := testutil.Ifindex(t, r.fn, "fn0")
	var l link.Link
	testutil.In(t, r.fn, func() error {
		l, err = link.AttachXDP(link.XDPOptions{Program: program, Interface: ifindex})
		return err
	})
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	_, err = Open(context.Background(), r.config(Config{}))
	require.ErrorIs(t, err, maps.ErrExists)
	info, err := l.Info()
	require.NoError(t, err)
	require.Equal(t, uint32(ifindex), info.XDP().Ifindex)
}

// Receiving, answering and sending allocate nothing.
func TestNothingIsAllocated(t *testing.T) {
	r := newRig(t, 0)
	_, s := r.open(Config{})
	w := r.wire()
	in := flooded(t)
	inner := answer.Build(t)
	frames := make([]Frame, 16)
	var tunnel Tunnel
	cycle := func() {
		w.send(in)
		n, err := s.Recv(frames)
		for i := range frames[:n] {
			if err == nil {
				err = frames[i].Decode(&tunnel)
			}
			if err == nil {
				err = frames[i].Reply(&tunnel, inner)
			}
		}
		if err == nil {
			_, err = s.Send(frames[:n])
		}
		if n, more := 0, error(nil); err == nil {
			if n, more = s.Alloc(frames); more == nil {
				for i := range frames[:n] {
					frames[i].Release()
				}
			}
			err = more
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cycle()
	require.Zero(t, testing.AllocsPerRun(200, cycle))
}

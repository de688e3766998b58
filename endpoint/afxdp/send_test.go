// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// Far more packets than there are buffers go through one socket, and come out in order, whole.
func TestSend(t *testing.T) {
	for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRig(t, 0)
			_, s := r.open(Config{Mode: mode})
			w := r.wire()
			const all = 1000
			frames := make([]Frame, 32)
			for sent := 0; sent < all; {
				n, err := s.Alloc(frames[:min(len(frames), all-sent)])
				require.NoError(t, err)
				for i := range frames[:n] {
					require.NoError(t, frames[i].Set(numbered(t, sent+i, 60+sent+i)))
				}
				done, err := s.Send(frames[:n])
				require.NoError(t, err)
				require.Equal(t, n, done)
				require.Equal(t, make([]Frame, n), frames[:n], "they are nobody's now")
				sent += n
			}
			for i := range all {
				require.Equal(t, numbered(t, i, 60+i), w.receive())
			}
			st, err := s.Stats()
			require.NoError(t, err)
			assert.Equal(t, uint64(all), st.Sent)
			assert.Zero(t, st.Invalid)
			assert.Zero(t, st.InvalidTx)
		})
	}
}

// What was received goes out as it is, or changed, without a copy.
func TestSendBack(t *testing.T) {
	r := newRig(t, 0)
	_, s := r.open(Config{})
	w := r.wire()
	frames := make([]Frame, 8)
	for i := range 300 {
		in := numbered(t, i, 100)
		w.send(in)
		n, err := s.Recv(frames)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		b := frames[0].Bytes()
		var mac [6]byte
		copy(mac[:], b)
		copy(b, b[6:12])
		copy(b[6:], mac[:])
		n, err = s.Send(frames[:1])
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, slices.Concat(in[6:12], in[:6], in[12:]), w.receive())
	}
}

func TestSendErrors(t *testing.T) {
	r := newRig(t, 0)
	_, s := r.open(Config{})
	frames := make([]Frame, 2)
	n, err := s.Alloc(frames)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	n, err = s.Send(frames)
	require.ErrorIs(t, err, maps.ErrInvalid, "nothing was written")
	require.Zero(t, n)
	require.NoError(t, frames[0].Set(numbered(t, 1, 100)))
	require.ErrorIs(t, frames[1].Set(make([]byte, 2049)), ErrTooBig)
	require.NoError(t, frames[1].Set(make([]byte, 60)))

	testutil.Down(t, r.fn, "fn0")
	_, err = s.Send(frames[:1])
	require.Error(t, err)
	testutil.Up(t, r.fn, "fn0")
	testutil.Ready(t, r.fn, "fn0")
	w := r.wire()
	n, err = s.Send(frames) // with what was not sent before
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, numbered(t, 1, 100), w.receive())
	require.Equal(t, make([]byte, 60), w.receive())

	testutil.Delete(t, r.host, "host0")
	_, err = s.Alloc(frames[:1])
	if err == nil {
		require.NoError(t, frames[0].Set(make([]byte, 60)))
		_, err = s.Send(frames[:1])
	}
	require.ErrorIs(t, err, maps.ErrNotFound)
}

// Who takes all frames for sending and sends none waits for himself, until the deadline.
func TestAllocDeadline(t *testing.T) {
	r := newRig(t, 0)
	_, s := r.open(Config{})
	frames := make([]Frame, 100)
	n, err := s.Alloc(frames)
	require.NoError(t, err)
	require.Equal(t, 64, n)
	require.NoError(t, s.SetWriteDeadline(time.Now().Add(10*time.Millisecond)))
	_, err = s.Alloc(frames[n:])
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	frames[0].Release()
	require.NoError(t, s.SetWriteDeadline(time.Now().Add(patience)))
	n, err = s.Alloc(frames)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// What another goroutine releases, those who wait get.
func TestReleaseWakes(t *testing.T) {
	r := newRig(t, 0)
	_, s := r.open(Config{})
	w := r.wire()
	held := make([]Frame, 64)
	n, err := s.Alloc(held)
	require.NoError(t, err)
	require.Equal(t, 64, n)
	w.send(numbered(t, 1, 100))
	frames := make([]Frame, 1)
	_, err = s.Recv(frames)
	require.NoError(t, err)
	released := func(f *Frame, step func([]Frame) (int, error)) {
		t.Helper()
		require.NoError(t, s.SetWriteDeadline(time.Time{}))
		done := make(chan error)
		go func() {
			_, err := step(frames)
			done <- err
		}()
		testutil.Eventually(t, patience, sendWaits)
		require.NoError(t, s.SetWriteDeadline(time.Now().Add(patience)), "while it waits")
		f.Release()
		require.NoError(t, <-done)
	}
	released(&held[0], s.Send)
	_, err = s.Alloc(held[:1]) // what was sent comes back
	require.NoError(t, err)
	released(&held[1], s.Alloc)

	// Otherwise only the caller's deadline ends it.
	start := time.Now()
	require.NoError(t, s.SetWriteDeadline(start.Add(20*time.Millisecond)))
	_, err = s.Alloc(held[:1])
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
}

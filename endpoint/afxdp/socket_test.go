// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

func TestReceive(t *testing.T) {
	for _, mode := range []bpf.Mode{bpf.Auto, bpf.Native, bpf.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRig(t, 0)
			p, s := r.open(Config{Mode: mode})
			w := r.wire()
			var sent [][]byte
			for i := range 200 { // more than there are buffers
				sent = append(sent, numbered(t, i, 100))
				w.send(sent[i])
				got := collect(t, s, 1)
				require.Equal(t, sent[i:], got)
			}
			st, err := s.Stats()
			require.NoError(t, err)
			assert.Equal(t, Stats{Received: 200, ReceivedBytes: 200 * uint64(len(sent[0])), TxEmpty: st.TxEmpty, FillEmpty: st.FillEmpty}, st)
			want := mode
			if mode == bpf.Auto {
				want = bpf.Native
			}
			assert.Equal(t, want, p.Mode)
			assert.NotEmpty(t, p.Why)
		})
	}
}

func TestDeadline(t *testing.T) {
	r := newRig(t, 0)
	_, s := r.open(Config{})
	require.NoError(t, s.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	frames := make([]Frame, 1)
	_, err := s.Recv(frames)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	_, err = s.Recv(frames)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "once it is over it stays so")

	// One that is set while waiting.
	require.NoError(t, s.SetReadDeadline(time.Time{}))
	failed := make(chan error)
	go func() {
		_, err := s.Recv(frames)
		failed <- err
	}()
	testutil.Eventually(t, patience, waiting)
	require.NoError(t, s.SetReadDeadline(time.Now()))
	require.ErrorIs(t, <-failed, os.ErrDeadlineExceeded)

	require.NoError(t, s.SetReadDeadline(time.Now().Add(patience)))
	r.wire().send(numbered(t, 1, 100))
	n, err := s.Recv(frames)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func TestCloseWakesReader(t *testing.T) {
	r := newRig(t, 0)
	p, s := r.open(Config{})
	require.NoError(t, s.SetDeadline(time.Time{}))
	failed := make(chan error)
	frames := make([]Frame, 1)
	go func() {
		_, err := s.Recv(frames)
		failed <- err
	}()
	testutil.Eventually(t, patience, waiting)
	require.NoError(t, p.Close())
	require.ErrorIs(t, <-failed, net.ErrClosed)
	_, err := s.Recv(frames)
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = s.Send(frames)
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = s.Alloc(frames)
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = s.Stats()
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, s.SetDeadline(time.Now()), net.ErrClosed)
	require.NoError(t, p.Close(), "again")
}

// What a caller still has of a closed socket is memory, and nobody's packets.
func TestFrameAfterClose(t *testing.T) {
	r := newRig(t, 0)
	p, s := r.open(Config{})
	r.wire().send(numbered(t, 1, 100))
	frames := make([]Frame, 2)
	_, err := s.Recv(frames)
	require.NoError(t, err)
	b := frames[0].Bytes()
	require.NoError(t, p.Close())
	require.Equal(t, make([]byte, len(b)), b)
	require.Equal(t, b, frames[0].Bytes())
	require.NoError(t, frames[0].Set(numbered(t, 2, 200)))
	_, err = s.Send(frames)
	require.ErrorIs(t, err, net.ErrClosed)
	frames[0].Release()
}

func TestInterfaceGone(t *testing.T) {
	r := newRig(t, 0)
	_, s := r.open(Config{})
	require.NoError(t, s.SetDeadline(time.Time{}))
	failed := make(chan error)
	frames := make([]Frame, 1)
	go func() {
		_, err := s.Recv(frames)
		failed <- err
	}()
	testutil.Eventually(t, patience, waiting)
	testutil.Delete(t, r.host, "host0")
	select {
	case err := <-failed:
		require.ErrorIs(t, err, maps.ErrNotFound)
	case <-time.After(patience):
		t.Fatal("still waiting")
	}
}

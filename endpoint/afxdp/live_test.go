// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/cilium/ebpf/features"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/encap"
	"github.com/mizar-go/mizar/internal/packet"
	"github.com/mizar-go/mizar/internal/testutil"
)

// A function that answers tunnel packets, on the wire.
func TestAnswer(t *testing.T) {
	r := newRig(t, 0)
	_, s := r.open(Config{})
	w := r.wire()
	in := packet.Eth(mac1, mac2).Tunnel(packet.Host4(1), packet.Host4(2), 7, packet.RTS(packet.Host4(9), 3))
	for range 3 {
		w.send(in.Packet(request).Build(t))
	}
	frames := make([]Frame, 8)
	var tunnel Tunnel
	for answered := 0; answered < 3; {
		n, err := s.Recv(frames)
		require.NoError(t, err)
		for i := range frames[:n] {
			require.NoError(t, frames[i].Decode(&tunnel))
			require.NoError(t, frames[i].Reply(&tunnel, answer.Build(t)))
		}
		n, err = s.Send(frames[:n])
		require.NoError(t, err)
		answered += n
	}
	want := packet.Eth(mac2, mac1).Tunnel(packet.Host4(2), packet.Host4(9), 7).
		With(packet.TOS(0xb9), packet.Ports(encap.SourcePort(answer.Build(t)), encap.Port)).Packet(answer).Build(t)
	for range 3 {
		got := w.receive()
		requireSame(t, want, got)
		frame, err := packet.Decode(got)
		require.NoError(t, err)
		require.NoError(t, frame.Verify())
	}
}

func haveMultiBuffer(t testing.TB) bool {
	t.Helper()
	version, err := features.LinuxVersionCode()
	require.NoError(t, err)
	return version >= 6<<16|6<<8
}

// What an older kernel lacks it says, and by which one it came.
func requireNoMultiBuffer(r *rig, c Config) {
	r.t.Helper()
	_, err := Open(context.Background(), r.config(c))
	require.ErrorIs(r.t, err, bpf.ErrNotSupported)
	require.ErrorContains(r.t, err, "6.6")
}

// Packets of an MTU of 9000 come in several buffers, and go out of several.
func TestMultiBuffer(t *testing.T) {
	for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRig(t, 9000)
			if !haveMultiBuffer(t) {
				requireNoMultiBuffer(r, Config{Mode: mode})
				return
			}
			p, s := r.open(Config{Mode: mode})
			require.True(t, p.MultiBuffer, "the MTU needs it")
			w := r.wire()
			frames := make([]Frame, 8)
			for i, size := range []int{100, 3000, 3700, 5000, 8900} {
				in := numbered(t, i, size)
				w.send(in)
				n, err := s.Recv(frames)
				require.NoError(t, err)
				require.Equal(t, 1, n)
				f := &frames[0]
				require.Equal(t, len(in), f.Len())
				require.True(t, bytes.Equal(in, f.AppendTo(nil)))

				if i%2 == 0 { // shorter or longer than it was
					in = numbered(t, i, 9000-size-100)
					require.NoError(t, f.Set(in))
				}
				n, err = s.Send(frames[:1])
				require.NoError(t, err)
				require.Equal(t, 1, n)
				require.True(t, bytes.Equal(in, w.receive()), "%d bytes", len(in))
			}
			st, err := s.Stats()
			require.NoError(t, err)
			assert.Zero(t, st.Invalid)
			assert.Zero(t, st.InvalidTx)
			assert.Zero(t, st.Dropped)
			// All of it comes back: as many frames can be had as at first.
			all := make([]Frame, 100)
			had := 0
			for had < 64 {
				n, err := s.Alloc(all[had:])
				require.NoError(t, err, "%d of 64 buffers", had)
				had += n
			}
		})
	}
}

// A tunnel packet of several buffers is answered with one.
func TestMultiBufferReply(t *testing.T) {
	r := newRig(t, 9000)
	if !haveMultiBuffer(t) {
		requireNoMultiBuffer(r, Config{})
		return
	}
	_, s := r.open(Config{})
	w := r.wire()
	large := packet.Eth(packet.MAC(3), packet.MAC(4)).IPv4(packet.Endpoint4(1), packet.Endpoint4(2)).UDP(1, 2).Payload(8000).Build(t)
	w.send(packet.Eth(mac1, mac2).Tunnel(packet.Host4(1), packet.Host4(2), 7, packet.Option(1, 2, 3)).Raw(large).Build(t))
	frames := make([]Frame, 1)
	n, err := s.Recv(frames)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	var tunnel Tunnel
	require.NoError(t, frames[0].Decode(&tunnel))
	require.Equal(t, len(large), tunnel.Length)
	inner := frames[0].AppendTo(nil)[tunnel.Offset:]
	require.True(t, bytes.Equal(large, inner))
	require.NoError(t, frames[0].Reply(&tunnel, inner))
	_, err = s.Send(frames)
	require.NoError(t, err)
	requireSame(t, packet.Eth(mac2, mac1).Tunnel(packet.Host4(2), packet.Host4(1), 7).
		With(packet.Ports(encap.SourcePort(large), encap.Port)).Raw(large).Build(t), w.receive())
}

// Without buffers for it, a large packet is dropped and counted.
func TestTooLargeToReceive(t *testing.T) {
	r := newRig(t, 3000)
	testutil.MTU(t, r.fn, 1500, "fn0")
	p, s := r.open(Config{Mode: bpf.Generic})
	require.False(t, p.MultiBuffer)
	testutil.MTU(t, r.fn, 3000, "fn0")
	w := r.wire()
	w.send(numbered(t, 1, 2500))
	w.send(numbered(t, 2, 100))
	require.Equal(t, [][]byte{numbered(t, 2, 100)}, collect(t, s, 1))
	st, err := s.Stats()
	require.NoError(t, err)
	require.Equal(t, uint64(1), st.Dropped)
}

// A function that does not receive loses its packets, and holds up nobody; when it does again, so do they
// come.
func TestDeadFunction(t *testing.T) {
	for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRig(t, 0)
			_, s := r.open(Config{Mode: mode, RingSize: 64})
			w := r.wire()
			for i := range 1000 {
				w.send(numbered(t, i, 100)) // blocks, if anything does
			}
			var st Stats
			testutil.Eventually(t, patience, func() (err error) {
				if st, err = s.Stats(); err == nil && st.FillEmpty+st.RingFull+st.Dropped < 1000-64 {
					err = fmt.Errorf("not all there yet: %+v", st)
				}
				return err
			})
			for i, b := range collect(t, s, 64) {
				require.Equal(t, numbered(t, i, 100), b, "the first ones")
			}
			w.send(numbered(t, 7, 100))
			require.Equal(t, [][]byte{numbered(t, 7, 100)}, collect(t, s, 1))
			st, err := s.Stats()
			require.NoError(t, err)
			require.Equal(t, uint64(65), st.Received)
		})
	}
}

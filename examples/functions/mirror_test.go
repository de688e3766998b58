// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/rand"
	"testing"
	"time"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/stretchr/testify/require"
)

func mirror(t *testing.T, w *world, stage dataplane.Stage) *Mirror {
	t.Helper()
	m, err := NewMirror(t.Context(), w.a.dp, "mirror", w.a2.v4)
	require.NoError(t, err)
	unloadAfter(t, w.a.dp, stage, w.a1.scope(), m.Function)
	require.NoError(t, w.a.dp.Stage.Set(t.Context(), stage, w.a1.scope(), "mirror"))
	return m
}

// carries is of frames that end in that.
func carries(load []byte) func([]byte) bool {
	return func(frame []byte) bool { return bytes.HasSuffix(frame, load) }
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// answerless has a workload take what comes to port 53, so that it does not send ICMP errors, with what came in them.
func answerless(t *testing.T, w *workload) {
	t.Helper()
	in, err := listen(w.Namespace, 53)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, in.close()) })
}

// one waits for the one frame that carries a load.
func (p *tap) one(t *testing.T, load []byte) []byte {
	t.Helper()
	var got [][]byte
	require.NoError(t, await(t.Context(), "a frame", func() (bool, error) {
		more, err := p.frames(carries(load))
		got = append(got, more...)
		return len(got) > 0, err
	}))
	require.Len(t, got, 1)
	return got[0]
}

// Copies are what was sent, to the byte, from the shortest to the longest; and what was sent goes on as it was.
func testMirror(t *testing.T, w *world) {
	m := mirror(t, w, dataplane.StageSend)
	answerless(t, w.a1)
	answerless(t, w.b1)
	from, copies, to := w.a1.tap(t), w.a2.tap(t), w.b1.tap(t)
	sent := uint64(0)
	for _, p := range []packet{
		{from: w.a1.v4, to: w.b1.v4, port: 53, load: noise(18)},
		{from: w.a1.v4, to: w.b1.v4, port: 53, load: noise(w.a1.endpoint.MTU - 20 - 8)},
		{from: w.a1.v4, to: w.b1.v4, offset: 80, load: noise(99)},
		{from: w.a1.v6, to: w.b1.v6, port: 53, load: noise(18)},
		{from: w.a1.v6, to: w.b1.v6, port: 53, load: noise(w.a1.endpoint.MTU - 40 - 8)},
	} {
		f := w.a1.frame(p)
		require.NoError(t, from.send(f))
		require.Equal(t, f, copies.one(t, p.load))
		require.Equal(t, f[14:], to.one(t, p.load)[14:])
		sent++
	}
	made, failed, err := m.Copies()
	require.NoError(t, err)
	require.Equal(t, sent, made)
	require.Zero(t, failed)

	// What others send is not copied.
	load := noise(32)
	require.NoError(t, to.send(w.b1.frame(packet{from: w.b1.v4, to: w.a1.v4, port: 53, load: load})))
	require.NotNil(t, from.one(t, load))
	got, err := copies.frames(carries(load))
	require.NoError(t, err)
	require.Empty(t, got)
}

// A stream is not spoilt, in packets that segmentation offload has made large: the server has read it whole.
func testMirrorOfAStream(t *testing.T, w *world) {
	m := mirror(t, w, dataplane.StageSend)
	server, err := w.b1.Serve(w.b1.v4)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	_, err = w.a1.TCP(t.Context(), server, 100*time.Millisecond)
	require.NoError(t, err)
	made, failed, err := m.Copies()
	require.NoError(t, err)
	require.NotZero(t, made)
	require.Zero(t, failed)
}

// At stage deliver a copy has the tunnel around it where the packet came by one, and has none where it did not.
func testMirrorOfWhatIsDelivered(t *testing.T, w *world) {
	mirror(t, w, dataplane.StageDeliver)
	answerless(t, w.a1)
	from, copies, to := w.b1.tap(t), w.a2.tap(t), w.a1.tap(t)
	load := noise(200)
	f := w.b1.frame(packet{from: w.b1.v4, to: w.a1.v4, port: 53, load: load})
	require.NoError(t, from.send(f))
	require.Equal(t, f[14:], to.one(t, load)[14:])
	got := copies.one(t, load)
	const outer = 14 + 20 + 8 + 8
	require.Len(t, got, outer+len(f))
	require.Equal(t, f[14:], got[outer+14:])

	load = noise(200)
	f = w.a2.frame(packet{from: w.a2.v4, to: w.a1.v4, port: 53, load: load})
	require.NoError(t, copies.send(f))
	require.Equal(t, f[14:], to.one(t, load)[14:])
	require.Equal(t, f, copies.one(t, load)) // a socket does not hear what it sent itself
}

// T10: of an endpoint that is deleted nobody gets the copies, and packets go on.
func testMirrorOfADeletedEndpoint(t *testing.T, w *world) {
	m := mirror(t, w, dataplane.StageSend)
	answerless(t, w.b1)
	require.NoError(t, w.a.dp.Endpoint.Delete(t.Context(), w.a2.endpoint.HostInterface))
	to, load := w.b1.tap(t), noise(32)
	require.NoError(t, w.a1.tap(t).send(w.a1.frame(packet{from: w.a1.v4, to: w.b1.v4, port: 53, load: load})))
	require.NotNil(t, to.one(t, load))
	made, failed, err := m.Copies()
	require.NoError(t, err)
	require.Zero(t, made)
	require.EqualValues(t, 1, failed)
}

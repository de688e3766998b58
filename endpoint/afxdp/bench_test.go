// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/internal/packet"
	"github.com/mizar-go/mizar/internal/testutil"
)

const (
	batch = 64
	// The flood has a CPU of its own, which does all that the kernel does up to the socket.
	floodCPU = 0
	rounds   = 5
	each     = 300_000 // packets in a round
)

// contender receives at least n packets, looks into each, and gives how many were.
type contender struct {
	rig     *rig
	receive func(n int) int
}

// The same program twice: a loop that takes batches and reads from each packet.
func afxdpContender(b *testing.B) contender {
	r := newRig(b, 0)
	p, s := r.open(Config{Mode: bpf.Native, RingSize: defaultRingSize})
	require.Equal(b, bpf.Native, p.Mode)
	require.NoError(b, s.SetDeadline(time.Time{}))
	frames := make([]Frame, batch)
	return contender{r, func(n int) (all int) {
		for all < n {
			got, err := s.Recv(frames)
			if err != nil {
				b.Fatal(err)
			}
			for i := range frames[:got] {
				all += look(frames[i].Bytes())
			}
		}
		return all
	}}
}

func afPacketContender(b *testing.B) contender {
	r := newRig(b, 0)
	// Without NAPI, what is redirected to the veth is lost.
	testutil.In(b, r.fn, func() error { return ethtool.Set("fn0", map[string]bool{"rx-gro": true}) })
	ring := r.packetRing()
	packets := make([][]byte, batch)
	return contender{r, func(n int) (all int) {
		for all < n {
			got, err := ring.receive(packets)
			if err != nil {
				b.Fatal(err)
			}
			for _, p := range packets[:got] {
				all += look(p)
			}
		}
		return all
	}}
}

// look counts what was sent.
func look(b []byte) int {
	if len(b) == 142 && b[12] == 0x08 && b[23] == protocolUDP {
		return 1
	}
	return 0
}

func flooded(b testing.TB) []byte {
	frame := packet.Eth(packet.MAC(1), packet.MAC(2)).Tunnel(packet.Host4(1), packet.Host4(2), 7).
		Eth(packet.MAC(3), packet.MAC(4)).IPv4(packet.Endpoint4(1), packet.Endpoint4(2)).UDP(1, 2).Payload(50).Build(b)
	require.Len(b, frame, 142)
	return frame
}

// round is packets a second while the flood lasts.
func (c contender) round(b *testing.B, frame []byte, n int) float64 {
	f := startFlood(b, c.rig.host, "host0", frame, floodCPU)
	defer f.stop(b)
	c.receive(each / 10) // until it flows
	b.StartTimer()
	start := time.Now()
	got := c.receive(n)
	took := time.Since(start)
	b.StopTimer()
	return float64(got) / took.Seconds()
}

// BenchmarkReceive compares what a Go program receives through AF_XDP in native copy mode and through an
// AF_PACKET ring, of the same frames from the same place: packets a second, and the ratio of medians of
// rounds that take turns.
func BenchmarkReceive(b *testing.B) {
	one := func(name string, make func(*testing.B) contender) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.StopTimer()
			c := make(b)
			b.ResetTimer()
			b.StopTimer()
			b.ReportMetric(c.round(b, flooded(b), b.N), "packets/s")
		})
	}
	one("afxdp", afxdpContender)
	one("af_packet", afPacketContender)
	b.Run("ratio", func(b *testing.B) {
		b.StopTimer()
		frame := flooded(b)
		xdp, packet := afxdpContender(b), afPacketContender(b)
		var x, p []float64
		for range rounds { // whatever b.N: a ratio is no time
			x = append(x, xdp.round(b, frame, each))
			p = append(p, packet.round(b, frame, each))
		}
		slices.Sort(x)
		slices.Sort(p)
		b.ReportMetric(x[rounds/2], "afxdp-packets/s")
		b.ReportMetric(p[rounds/2], "af_packet-packets/s")
		b.ReportMetric(x[rounds/2]/p[rounds/2], "ratio")
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkAnswer is a function that answers each tunnel packet with one of its own.
func BenchmarkAnswer(b *testing.B) {
	b.ReportAllocs()
	b.StopTimer()
	r := newRig(b, 0)
	_, s := r.open(Config{Mode: bpf.Native, RingSize: defaultRingSize})
	require.NoError(b, s.SetDeadline(time.Time{}))
	inner := answer.Build(b)
	frames := make([]Frame, batch)
	var tunnel Tunnel
	c := contender{r, func(n int) (all int) {
		for all < n {
			got, err := s.Recv(frames)
			for i := range frames[:got] {
				if err == nil {
					err = frames[i].Decode(&tunnel)
				}
				if err == nil {
					err = frames[i].Reply(&tunnel, inner)
				}
			}
			if err == nil {
				got, err = s.Send(frames[:got])
			}
			if err != nil {
				b.Fatal(err)
			}
			all += got
		}
		return all
	}}
	b.ResetTimer()
	b.StopTimer()
	b.ReportMetric(c.round(b, flooded(b), b.N), "packets/s")
}

// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// datagram is short enough for every tunnel over 1500 bytes.
const datagram = 1200

// Rate is what a measurement of traffic gives.
type Rate struct {
	Trip time.Duration // the median of single datagrams; for TCP: to set up the connection
	Bits float64       // payload that arrived, a second
}

// UDP sends datagrams to a server: count of them one after the other that have to come back, then as many
// as it can for as long as told.
func (n *Namespace) UDP(ctx context.Context, s *Server, count int, long time.Duration) (_ Rate, err error) {
	to := s.udp.LocalAddr().(*net.UDPAddr)
	defer func() {
		if err != nil {
			err = fmt.Errorf("send datagrams to %s from %s: %w", to, n.Name, err)
		}
	}()
	var conn *net.UDPConn
	if err := n.Do(func() (err error) {
		conn, err = net.DialUDP("udp", nil, to)
		return err
	}); err != nil {
		return Rate{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var trips []time.Duration
	for i := range count {
		trip, err := bounce(ctx, conn, byte(i))
		if err != nil {
			return Rate{}, err
		}
		trips = append(trips, trip)
	}
	before, start := s.bytes.Load(), time.Now()
	for b := make([]byte, datagram); time.Since(start) < long; {
		if _, err := conn.Write(b); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return Rate{}, err
		}
		if err := ctx.Err(); err != nil {
			return Rate{}, err
		}
	}
	took := time.Since(start)
	return Rate{Median(trips), float64(s.bytes.Load()-before) * 8 / took.Seconds()}, nil
}

// bounce sends one short datagram and waits for it.
func bounce(ctx context.Context, conn *net.UDPConn, mark byte) (time.Duration, error) {
	start := time.Now()
	if err := conn.SetReadDeadline(start.Add(patience)); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	sent, got := bytes.Repeat([]byte{mark}, echoMax), make([]byte, datagram)
	if _, err := conn.Write(sent); err != nil {
		return 0, err
	}
	for {
		n, err := conn.Read(got)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, fmt.Errorf("datagram %d: no answer within %v", mark, patience)
		}
		if err != nil {
			return 0, err
		}
		if bytes.Equal(got[:n], sent) {
			return time.Since(start), nil
		}
	}
}

// TCP streams to a server for as long as told, and compares what the server says that it got.
func (n *Namespace) TCP(ctx context.Context, s *Server, long time.Duration) (_ Rate, err error) {
	to := s.tcp.Addr().(*net.TCPAddr).AddrPort()
	defer func() {
		if err != nil {
			err = fmt.Errorf("stream to %s from %s: %w", to, n.Name, err)
		}
	}()
	var conn *net.TCPConn
	start := time.Now()
	if err := n.Do(func() (err error) {
		conn, err = (&net.Dialer{Timeout: patience}).DialTCP(ctx, "tcp", netip.AddrPort{}, to)
		return err
	}); err != nil {
		return Rate{}, err
	}
	defer conn.Close()
	trip := time.Since(start)
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	start = time.Now()
	if err := conn.SetDeadline(start.Add(long + 5*time.Second)); err != nil {
		return Rate{}, err
	}
	sent, sum, err := stream(conn, start.Add(long))
	if err != nil {
		return Rate{}, errors.Join(ctx.Err(), err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		return Rate{}, errors.Join(ctx.Err(), err)
	}
	if !bytes.Equal(got, receipt(sent, sum)) {
		return Rate{}, fmt.Errorf("%d bytes arrived as others", sent)
	}
	return Rate{trip, float64(sent) * 8 / time.Since(start).Seconds()}, nil
}

// stream writes noise until it is time, and closes its half.
func stream(conn *net.TCPConn, until time.Time) (sent uint64, sum uint32, err error) {
	noise := make([]byte, 256<<10)
	random := rand.NewChaCha8([32]byte{})
	random.Read(noise)
	for time.Now().Before(until) {
		n, err := conn.Write(noise)
		sent, sum = sent+uint64(n), crc32.Update(sum, crc32.IEEETable, noise[:n])
		if err != nil {
			return 0, 0, err
		}
	}
	return sent, sum, conn.CloseWrite()
}

// Median is the middle of some durations, zero of none.
func Median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

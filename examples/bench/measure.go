// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"
)

// figure is one number that a measurement gives.
type figure struct {
	name  string // as printed
	unit  string
	digit int // after the point
}

// Units, of which those of time and memory are better when less.
const (
	gigabits = "Gbit/s"
	micros   = "µs"
	thousand = "thousand/s"
	millions = "million/s"
	octets   = "bytes"
	millis   = "ms"
	seconds  = "s"
)

// The figures that goals and the chart speak of.
const (
	streamOne    = "TCP, one stream"
	streamEight  = "TCP, eight streams"
	streamIPerf  = "TCP, one stream, by iperf3"
	tripOne      = "round trip p50, one CPU"
	tripOneTail  = "round trip p99, one CPU"
	tripTwo      = "round trip p50, two CPUs"
	tripTwoTail  = "round trip p99, two CPUs"
	connections  = "TCP connections, one CPU"
	packetsOne   = "64-byte packets, one CPU"
	packetsTwo   = "64-byte packets, two CPUs"
	forwardRate  = "packets forwarded"
	addRate      = "AddAll"
	memoryEach   = "kernel memory of an endpoint"
	memoryGrowth = "... without the empty table"
	openTime     = "Open, all endpoints in the table"
	createTime   = "create one endpoint"
	deleteTime   = "delete one endpoint"
	parallelTime = "create many at once, each"
)

// measure is something that can be measured of every path.
type measure struct {
	name    string // for flags
	jumbo   bool   // also over an underlay of 9000 bytes
	asked   bool   // only where it is asked for
	figures []figure
	run     func(ctx context.Context, p *path, c cpus, long time.Duration) ([]float64, error)
}

func measures() []measure {
	return []measure{
		{name: "stream", jumbo: true, run: streams(1), figures: []figure{{streamOne, gigabits, 2}}},
		{name: "streams", jumbo: true, run: streams(8), figures: []figure{{streamEight, gigabits, 2}}},
		{name: "trip", run: trips, figures: []figure{
			{tripOne, micros, 1}, {tripOneTail, micros, 1}, {tripTwo, micros, 1}, {tripTwoTail, micros, 1},
		}},
		{name: "connect", run: connects, figures: []figure{{connections, thousand, 1}}},
		{name: "packets", run: packets, figures: []figure{{packetsOne, thousand, 0}, {packetsTwo, thousand, 0}}},
		{name: "iperf3", jumbo: true, asked: true, run: iperf3, figures: []figure{{streamIPerf, gigabits, 2}}},
	}
}

// of measures a path, and says what an error is about.
func (m measure) of(ctx context.Context, p *path, c cpus, long time.Duration) ([]float64, error) {
	got, err := m.run(ctx, p, c, long)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%s, MTU %d: measure %s: %w", p.of.title, p.mtu, m.name, err)
	}
	return got, nil
}

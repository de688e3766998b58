// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/mizar-go/mizar/examples/internal/lab"
)

// report prints what one run saw.
func report(out io.Writer, name string, rows []row, blue route) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tping\tUDP\t\tTCP\t\n", name)
	for _, r := range rows {
		fmt.Fprintf(w, "%s, %s\t%s\t%s\t%s\t%s\t%s\n", r.leg.pair(), r.leg.name,
			millis(r.ping), millis(r.udp.Trip), rate(r.udp), millis(r.tcp.Trip), rate(r.tcp))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(w, "%s\tfirst\t%v\n", r.leg.pair(), r.first)
		fmt.Fprintf(w, "\tlater\t%v\n", r.later)
	}
	fmt.Fprintf(w, "blue, at the same addresses:\n")
	fmt.Fprintf(w, "\tof red\t0 frames heard, 0 packets delivered\n")
	fmt.Fprintf(w, "\tfirst\t%v; of that, red heard 0 frames\n\n", blue)
	return w.Flush()
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.3f ms", float64(d)/float64(time.Millisecond))
}

func rate(r lab.Rate) string {
	return fmt.Sprintf("%.2f Gbit/s", r.Bits/1e9)
}

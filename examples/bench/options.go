// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// options say what to measure, for how long, and where to report.
type options struct {
	rounds     int
	long       time.Duration // of one measurement
	contenders []string
	measures   []string
	endpoints  int // for provisioning
	parallel   int
	json, svg  string
}

func defaults() options {
	o := options{
		rounds:    4,
		long:      800 * time.Millisecond,
		measures:  []string{forwarding, provisioning},
		endpoints: 1_000_000,
		parallel:  200,
		svg:       "docs/performance.svg",
	}
	for _, c := range contenders() {
		o.contenders = append(o.contenders, c.name)
	}
	for _, m := range measures() {
		if !m.asked {
			o.measures = append(o.measures, m.name)
		}
	}
	return o
}

func parse(args []string, usage io.Writer) (options, error) {
	o := defaults()
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(usage)
	fs.IntVar(&o.rounds, "rounds", o.rounds, "how many times to measure everything")
	fs.DurationVar(&o.long, "long", o.long, "how long one measurement takes")
	list(fs, &o.contenders, "contenders", "whom to measure")
	list(fs, &o.measures, "measures", "what to measure", "iperf3")
	fs.IntVar(&o.endpoints, "endpoints", o.endpoints, "how many remote endpoints to provision")
	fs.IntVar(&o.parallel, "parallel", o.parallel, "how many endpoints to create at once")
	fs.StringVar(&o.json, "json", "", "write all rounds to a `FILE`; -: to standard output, in place of the table")
	fs.StringVar(&o.svg, "svg", o.svg, "draw a chart to a `FILE`; -: to standard output, in place of the table; empty: none")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("what is %q? it takes flags only", fs.Arg(0))
	case o.rounds < 1 || o.endpoints < 1 || o.parallel < 1:
		return o, fmt.Errorf("rounds, endpoints and parallel have to be at least 1")
	case o.json == "-" && o.svg == "-":
		return o, fmt.Errorf("standard output is for one of JSON and chart")
	case o.long < time.Millisecond:
		return o, fmt.Errorf("a measurement of %v is too short", o.long)
	}
	return o, nil
}

// list is a flag of names. What it is before is the default; there may be more.
func list(fs *flag.FlagSet, to *[]string, name, what string, more ...string) {
	all := slices.Concat(*to, more)
	usage := fmt.Sprintf("%s: a `LIST` of %s (default %s)", what, strings.Join(all, ","), strings.Join(*to, ","))
	fs.Func(name, usage, func(s string) error {
		*to = strings.Split(s, ",")
		for _, one := range *to {
			if !slices.Contains(all, one) {
				return fmt.Errorf("%q is none of %s", one, strings.Join(all, ", "))
			}
		}
		return nil
	})
}

func (o *options) wants(measure string) bool { return slices.Contains(o.measures, measure) }

// writable finds out before it is measured whether there is a directory for every file.
func (o *options) writable() error {
	for _, name := range []string{o.json, o.svg} {
		if name == "" || name == "-" {
			continue
		}
		if _, err := os.Stat(filepath.Dir(name)); err != nil {
			return fmt.Errorf("write %s: %w (-json and -svg say where to)", name, err)
		}
	}
	return nil
}

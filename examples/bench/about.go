// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// about says where and how it was measured.
type about struct {
	Kernel    string    `json:"kernel"`
	CPU       string    `json:"cpu"`
	CPUs      int       `json:"cpus"`
	Pinned    cpus      `json:"pinned"` // to which of them, where traffic is
	Began     time.Time `json:"began"`
	Load      string    `json:"load"` // of the machine before; what else runs tells on the figures
	Busy      float64   `json:"busy"` // share of all CPUs' time that others took in the second before
	Rounds    int       `json:"rounds"`
	Seconds   float64   `json:"seconds"`
	Endpoints int       `json:"endpoints"`
	Parallel  int       `json:"parallel"`
}

func aboutThis(o options, c cpus) about {
	a := about{
		CPUs: runtime.NumCPU(), Pinned: c, Began: time.Now().UTC(),
		Rounds: o.rounds, Seconds: o.long.Seconds(), Endpoints: o.endpoints, Parallel: o.parallel,
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		a.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				a.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		a.Load, _, _ = strings.Cut(string(load), " ")
	}
	return a
}

func (a about) String() string {
	return fmt.Sprintf("Linux %s, %d × %s, pinned to CPUs %d and %d, before: load %s, %.0f %% busy. Medians of %d rounds of %v.",
		a.Kernel, a.CPUs, a.CPU, a.Pinned[0], a.Pinned[1], a.Load, a.Busy*100, a.Rounds, time.Duration(a.Seconds*float64(time.Second)))
}

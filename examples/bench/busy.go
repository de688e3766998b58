// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tooBusy is a share of the CPUs' time from which on figures are not to be trusted.
const tooBusy = 0.05

// busy is the share of all CPUs' time that went elsewhere than idling, while this program waits.
func busy(ctx context.Context, long time.Duration) (float64, error) {
	before, err := cpuTimes()
	if err != nil {
		return 0, err
	}
	if err := pass(ctx, long); err != nil {
		return 0, err
	}
	after, err := cpuTimes()
	if err != nil {
		return 0, err
	}
	return share(before, after), nil
}

// times are what the kernel has counted since it started, in ticks.
type times struct{ idle, all uint64 }

func share(before, after times) float64 {
	all := after.all - before.all
	if all == 0 {
		return 0
	}
	return 1 - float64(after.idle-before.idle)/float64(all)
}

func cpuTimes() (times, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return times{}, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	return parseTimes(line)
}

// parseTimes reads the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal.
// What follows is in user and nice already.
func parseTimes(line string) (t times, err error) {
	words := strings.Fields(line)
	if len(words) < 9 || words[0] != "cpu" {
		return t, errors.New("/proc/stat does not begin with the times of all CPUs")
	}
	for i, word := range words[1:9] {
		n, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			return t, fmt.Errorf("parse /proc/stat: %w", err)
		}
		t.all += n
		if i == 3 || i == 4 {
			t.idle += n
		}
	}
	return t, nil
}

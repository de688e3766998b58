// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mizar-go/mizar/bpf"
)

// verdict is what the programs of one host decided on.
type verdict struct {
	host   string
	reason bpf.Reason
}

// String is short: B DELIVER.
func (v verdict) String() string {
	return v.host + " " + v.reason.String()
}

// verdicts counts packets, of all hosts.
type verdicts map[verdict]uint64

func (f *fleet) verdicts(ctx context.Context) (verdicts, error) {
	all := make(verdicts)
	for name, h := range f.hosts {
		for c, err := range h.dp.Stats.Counters(ctx) {
			if err != nil {
				return nil, fmt.Errorf("host %s: %w", name, err)
			}
			all[verdict{name, c.Reason}] = c.Packets
		}
	}
	return all, nil
}

// since is what was counted between two looks, less what says nothing about the way of a packet.
func (v verdicts) since(before verdicts) verdicts {
	diff := make(verdicts)
	for key, packets := range v {
		if n := packets - before[key]; n != 0 && !aside(key.reason) {
			diff[key] = n
		}
	}
	return diff
}

// aside are verdicts on packets that are no endpoint's payload, or that another verdict tells of, too.
func aside(r bpf.Reason) bool {
	switch r {
	case bpf.TableReasonREASON_PASS, // the underlay's own
		bpf.TableReasonREASON_ANSWER,         // ARP
		bpf.TableReasonREASON_RESOLVE,        // sent by way of the kernel's neighbour table
		bpf.TableReasonREASON_TO_TCX,         // counted once more, there
		bpf.TableReasonDROP_MULTICAST,        // what a Linux says unasked when its interface comes up,
		bpf.TableReasonDROP_NEIGHBOUR_UNUSED: // and looking for routers
		return true
	}
	return false
}

// String lists them all, hosts in order.
func (v verdicts) String() string {
	var all []string
	for key, n := range v {
		all = append(all, fmt.Sprintf("%v ×%d", key, n))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

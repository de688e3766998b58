// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
)

// Droplog knows which flows lose packets, and why. It is for stage drop.
type Droplog struct {
	*dataplane.Function
	dp *dataplane.Dataplane
}

// Lost is packets of a flow that were dropped for a reason.
type Lost struct {
	VNI                 uint32 // 0: not known
	Source, Destination netip.Addr
	Reason              bpf.Reason
	Name                string // of the reason: DROP_SPOOF_ADDRESS, or a function's: firewall.closed
	Packets, Bytes      uint64
}

// NewDroplog loads it.
func NewDroplog(ctx context.Context, dp *dataplane.Dataplane, name string) (*Droplog, error) {
	spec, err := loadDroplog()
	if err != nil {
		return nil, err
	}
	f, err := dp.Function.Load(ctx, name, spec)
	if err != nil {
		return nil, err
	}
	return &Droplog{f, dp}, nil
}

// Lost gives what was lost so far, the most first.
func (l *Droplog) Lost(ctx context.Context) ([]Lost, error) {
	var all []Lost
	var key droplogFlow
	var value droplogLost
	rows := l.Maps[droplogMapDrops].Iterate()
	for rows.Next(&key, &value) {
		all = append(all, Lost{
			VNI:         key.Vni,
			Source:      netip.AddrFrom16(key.Source.Bytes).Unmap(),
			Destination: netip.AddrFrom16(key.Destination.Bytes).Unmap(),
			Reason:      bpf.Reason(key.Reason),
			Packets:     value.Packets,
			Bytes:       value.Bytes,
		})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", l.Name, err)
	}
	// A packet is counted before stage drop sees it, so the counters have the names of all that are in the log.
	names := make(map[bpf.Reason]string)
	for c, err := range l.dp.Stats.Counters(ctx) {
		if err != nil {
			return nil, err
		}
		names[c.Reason] = c.Name
	}
	for i, d := range all {
		all[i].Name = cmp.Or(names[d.Reason], d.Reason.String()) // the function may have been removed since
	}
	slices.SortFunc(all, func(a, b Lost) int { return cmp.Compare(b.Packets, a.Packets) })
	return all, nil
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"net/netip"
	"slices"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// maxFilter bounds each list of a filter. Whoever changes something waits until the filters of all who watch were asked.
const maxFilter = 256

// EventFilter tells which events a watcher wants to see. What makes no sense is an error, not an empty stream.
func EventFilter(f *pb.EventFilter) (func(*pb.Event) bool, error) {
	if f == nil {
		f = &pb.EventFilter{}
	}
	var r reader
	for _, list := range []struct {
		name string
		long int
	}{{"vnis", len(f.Vnis)}, {"reasons", len(f.Reasons)}, {"prefixes", len(f.Prefixes)}, {"kinds", len(f.Kinds)}} {
		if list.long > maxFilter {
			r.fail(wrong("filter."+list.name, "there are %d, and may be %d", list.long, maxFilter))
		}
	}
	for i, vni := range f.Vnis {
		r.vni(fmt.Sprintf("filter.vnis[%d]", i), vni)
	}
	var prefixes []netip.Prefix
	for i := range f.Prefixes {
		text := f.Prefixes[i]
		prefixes = append(prefixes, r.masked(fmt.Sprintf("filter.prefixes[%d]", i), &text))
	}
	if r.err != nil {
		return nil, &Error{Field: fieldOf(r.err), Err: r.err}
	}
	within := func(texts ...string) bool {
		for _, text := range texts {
			a, err := netip.ParseAddr(text)
			if err == nil && slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) }) {
				return true
			}
		}
		return len(prefixes) == 0
	}
	return func(e *pb.Event) bool {
		if c := e.GetChange(); c != nil {
			return !f.NoChanges && (len(f.Kinds) == 0 || slices.Contains(f.Kinds, c.Kind))
		}
		d := e.GetDrop()
		return d != nil && !f.NoDrops && (len(f.Vnis) == 0 || slices.Contains(f.Vnis, d.Vni)) &&
			(len(f.Reasons) == 0 || slices.Contains(f.Reasons, d.Reason)) && within(d.Source, d.Destination)
	}, nil
}

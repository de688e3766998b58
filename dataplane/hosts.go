// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"sync"

	tables "github.com/mizar-go/mizar/maps"
)

// hosts has the kernel keep the neighbours on the way to the hosts that the tables name, so that XDP, which
// cannot ask for one, finds them. What fails is said to the log and no more: packets get there all the
// same, by the kernel, only slower at first.
//
// A neighbour is kept until its droplet is detached, also where no row names the host any longer, or one
// never came to be: it is one entry, and telling would take a count of references over all rows.
type hosts struct {
	dp *Dataplane

	mu   sync.Mutex
	seen map[netip.Addr]struct{} // asked for since the last droplet was attached
}

// add asks for those that were not asked for before. Bulk calls name the same few hosts over and over.
func (h *hosts) add(ctx context.Context, named iter.Seq[netip.Addr]) {
	var fresh []netip.Addr
	h.mu.Lock()
	for host := range named {
		if _, ok := h.seen[host]; !ok && host.IsValid() {
			h.seen[host] = struct{}{}
			fresh = append(fresh, host)
		}
	}
	h.mu.Unlock()
	h.ask(ctx, fresh)
}

// again asks for all that the tables name: a new droplet may be the way to any of them.
func (h *hosts) again(ctx context.Context) {
	var all map[netip.Addr]struct{}
	err := h.dp.gate.through(context.WithoutCancel(ctx), func() (err error) {
		all, err = named(h.dp.rows)
		return err
	})
	if err != nil {
		h.complain(err)
		return
	}
	hosts := slices.Collect(maps.Keys(all))
	h.mu.Lock()
	h.seen = all
	h.mu.Unlock()
	h.ask(ctx, hosts)
}

// written tells whether rows of a bulk call may be there: all of them, or some, where it failed midway.
func written(err error) bool {
	for _, untouched := range []error{ErrInvalid, ErrExists, ErrClosed, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, untouched) {
			return false
		}
	}
	return true
}

// ask does not heed that the context ends: what names the hosts is written, and nobody would ask again.
func (h *hosts) ask(ctx context.Context, all []netip.Addr) {
	if len(all) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx)
	err := h.dp.gate.through(ctx, func() error { return h.dp.Droplet.m.Resolve(ctx, all...) })
	if err != nil {
		h.complain(err)
	}
}

func (h *hosts) complain(err error) {
	h.dp.log.Debug("next hops are left to the kernel", "name", h.dp.name, "error", err)
}

// named collects the hosts that packets may be sent to.
func named(t *tables.Tables) (map[netip.Addr]struct{}, error) {
	all := make(map[netip.Addr]struct{})
	for row, err := range t.VPCs.All() {
		if err != nil {
			return nil, err
		}
		for _, host := range row.Dividers {
			all[host] = struct{}{}
		}
	}
	for row, err := range t.Networks.All() {
		if err != nil {
			return nil, err
		}
		for _, host := range row.Bouncers {
			all[host] = struct{}{}
		}
	}
	for row, err := range t.Endpoints.All() {
		if err != nil {
			return nil, err
		}
		if row.Host.IsValid() {
			all[row.Host] = struct{}{}
		}
	}
	return all, nil
}

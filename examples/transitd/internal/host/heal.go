// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"time"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// How often what could not be repaired is tried again.
const (
	firstHeal = time.Second
	lastHeal  = 30 * time.Second
)

// heal tries again to repair what could not be repaired at the start, as after a boot a NIC has no address yet, or a
// workload no namespace; and what a change that failed could not put back. What goes wrong otherwise is told by Health, and
// left to who did it.
func (h *Host) heal(ctx context.Context) {
	for wait := firstHeal; ; wait = min(2*wait, lastHeal) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		left, err := h.healOnce(ctx)
		if err != nil {
			h.log.Warn("what is to be repaired cannot be seen", "error", err)
		} else if left == 0 {
			select {
			case <-ctx.Done():
				return
			case <-h.hurt:
				wait = firstHeal / 2 // and twice that next
			}
		}
	}
}

// healOnce tells how much is left to be repaired.
func (h *Host) healOnce(ctx context.Context) (int, error) {
	h.writer.Lock()
	defer h.writer.Unlock()
	if len(h.strays)+len(h.unrepaired) > 0 {
		if err := h.sweepPorts(ctx); err != nil {
			return 0, err
		}
	}
	if len(h.unrepaired) == 0 {
		return len(h.strays), nil
	}
	g := h.standing()
	g.removes = func(n name) bool { _, going := h.going[n]; return going }
	p, err := h.compare(ctx, g)
	if err != nil {
		return 0, err
	}
	h.withoutLatePorts(p)
	still := make(map[name]string)
	for _, s := range p.steps {
		if len(s.lines) == 0 {
			continue
		}
		n := s.name()
		last, ours := h.unrepaired[n]
		if !ours {
			continue
		}
		c := newChange()
		if m, ok := h.asked[n.kind][n.key]; ok {
			c.put[n] = m
		} else if m, going := h.going[n]; going {
			c.gone[n] = m
		}
		err := h.commit(ctx, c, func(ctx context.Context) error {
			err := s.do(ctx)
			if got, ok := p.change.put[n]; ok && err == nil {
				c.put[n] = got
			}
			return err
		})
		if err == nil || err.Error() != last {
			for _, line := range s.lines {
				h.repaired(line, err)
			}
		}
		if err != nil {
			still[n] = err.Error()
		}
	}
	for n, why := range h.unrepaired { // what Open vSwitch has of it is not to be seen yet
		if _, known := still[n]; len(h.strays) > 0 && n.kind == pb.Kind_KIND_LOCAL_ENDPOINT && !known {
			still[n] = why
		}
	}
	h.withChains(still)
	for n := range h.going {
		if _, left := still[n]; !left {
			delete(h.going, n)
		}
	}
	h.unrepaired = still
	h.problems.forget()
	return len(still) + len(h.strays), nil
}

// withChains adds the chains of endpoints that could not be repaired: they may have gone with what was left of one.
func (h *Host) withChains(unrepaired map[name]string) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for key, m := range h.asked[pb.Kind_KIND_STAGE] {
		n, scope := name{pb.Kind_KIND_STAGE, key}, m.(*pb.Stage).GetScope()
		_, known := unrepaired[n]
		why, lost := unrepaired[name{pb.Kind_KIND_LOCAL_ENDPOINT, pathKey(scope.GetVni(), scope.GetAddress())}]
		if lost && !known { // both keys have the lowest address
			unrepaired[n] = why
		}
	}
}

// name is of what a step changes; all endpoints of other hosts are one.
func (s step) name() name {
	line := s.lines[0]
	if line.Kind == pb.Kind_KIND_ENDPOINT {
		return name{kind: line.Kind}
	}
	return name{line.Kind, line.Key}
}

// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"

	"github.com/cilium/ebpf"

	"github.com/mizar-go/mizar/internal/attach"
	"github.com/mizar-go/mizar/maps"
)

// attach writes the agent's row and attaches it: tcx in every mode, because XDP leaves to it what it
// cannot do, and first, so that there is no moment without.
func (b *creation) attach(ctx context.Context) error {
	ifindex := b.saved.Ifindex
	b.agent.Ifindex = ifindex
	b.agent.VNI = b.VNI
	b.agent.MAC = b.MAC
	b.agent.MTU = b.MTU
	b.agent.XDP = b.Mode.XDP()
	b.agent.Allowed = b.Allowed
	b.agent.Cookie = b.Cookie
	err := b.do(ctx, "agent", func() error {
		return b.m.tables.Agents.Put(b.agent)
	}, func() error {
		return b.m.tables.Agents.Delete(ifindex)
	})
	if err != nil {
		return err
	}
	row, err := b.m.tables.Agents.Get(ifindex)
	if err != nil {
		return err
	}
	b.agent.Traffic = row.Traffic
	for _, h := range hooks(b.Mode) {
		err := b.do(ctx, "attach "+h.String(), func() error {
			return attach.Attach(attach.Spec{
				Ifindex: ifindex, Hook: h, Mode: b.Mode, Program: b.m.program(h), Dir: b.m.links,
			})
		}, func() error {
			return attach.Detach(b.m.links, ifindex, h)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// hooks are what a mode attaches to, in order.
func hooks(mode Mode) []attach.Hook {
	if mode.XDP() {
		return []attach.Hook{attach.AgentTCX, attach.AgentXDP}
	}
	return []attach.Hook{attach.AgentTCX}
}

func (m *Manager) program(h attach.Hook) *ebpf.Program {
	if h == attach.AgentXDP {
		return m.programs.AgentXDP
	}
	return m.programs.AgentTCX
}

// detach takes off what any mode attaches, the last first, and removes the pins. The interface may be
// gone.
func (m *Manager) detach(ifindex int) error {
	return errors.Join(
		attach.Detach(m.links, ifindex, attach.AgentXDP),
		attach.Detach(m.links, ifindex, attach.AgentTCX),
	)
}

// withdraw deletes rows that say an address is at that interface.
func (m *Manager) withdraw(keys []maps.EndpointKey, ifindex int) error {
	var errs []error
	for _, k := range keys {
		row, err := m.tables.Endpoints.Get(k)
		if err == nil && row.Ifindex == ifindex {
			err = m.tables.Endpoints.Delete(k)
		}
		errs = append(errs, ignore(err, maps.ErrNotFound))
	}
	return errors.Join(errs...)
}

// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/internal/attach"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/maps"
)

// Delete removes an endpoint of this host, by the name of its interface: its rows, its agent, and the
// interface, or what was changed on one that was adopted. Whoever made it, and if the interface is gone
// (its container died), also then. One that is not known gives [maps.ErrNotFound]. Once begun it does not
// heed ctx; where it fails it can be called again.
func (m *Manager) Delete(ctx context.Context, hostInterface string) error {
	unlock, err := m.lock(ctx, hostInterface)
	if err == nil {
		defer unlock()
		if err = ctx.Err(); err == nil {
			err = m.in(func() error { return m.remove(hostInterface) })
		}
	}
	if err != nil {
		return fmt.Errorf("delete endpoint at %s: %w", hostInterface, explain(err))
	}
	return nil
}

func (m *Manager) remove(name string) error {
	s, err := m.find(name)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"rows", func() error { return m.vacate(s.Ifindex) }},
		// With the interface go its attachments. Detached before, it would for a moment hand to the host
		// what the workload sends.
		{"veth", func() error {
			if s.Role != maps.RoleEndpoint {
				return nil
			}
			return m.deleteVeth(s)
		}},
		{"detach", func() error { return m.detach(s.Ifindex) }},
		{"agent", func() error { return ignore(m.tables.Agents.Delete(s.Ifindex), maps.ErrNotFound) }},
		{"give back", func() error {
			if s.Role != maps.RoleAdopted {
				return nil
			}
			return m.giveBack(s)
		}},
		{"record", func() error { return m.tables.Restore.Delete(s.Ifindex) }},
	} {
		if err := m.fault(step.name); err != nil {
			return err
		}
		if err := step.do(); err != nil {
			return err
		}
	}
	return nil
}

// vacate deletes the rows that say an address is at that interface.
func (m *Manager) vacate(ifindex int) error {
	keys, err := m.at(ifindex)
	if err != nil {
		return err
	}
	if err := m.withdraw(keys, ifindex); err != nil {
		return err
	}
	m.settle(keys, 0)
	return nil
}

// find looks up the record of an endpoint's interface.
func (m *Manager) find(name string) (maps.Saved, error) {
	for s, err := range m.tables.Restore.All() {
		if err != nil {
			return maps.Saved{}, err
		}
		if s.Name == name && ours(s) {
			return s, nil
		}
	}
	return maps.Saved{}, fmt.Errorf("no endpoint there: %w", maps.ErrNotFound)
}

// ours tells whether a record is of an endpoint. Droplets have theirs in the same table.
func ours(s maps.Saved) bool {
	return s.Role == maps.RoleEndpoint || s.Role == maps.RoleAdopted
}

// giveBack puts an adopted interface's settings back.
func (m *Manager) giveBack(s maps.Saved) error {
	dev, err := device(s)
	if err != nil || dev == nil {
		return err
	}
	if s.Qdisc {
		if err := attach.DetachClsact(s.Ifindex); err != nil {
			return err
		}
	}
	veth, ok := dev.(*netlink.Veth)
	if !ok || s.FeatureMask == [2]uint64{} {
		return nil
	}
	other, err := m.otherEnd(veth, NetNS{})
	if errors.Is(err, maps.ErrNotFound) {
		m.log.Warn("offloads stay as they are: nobody holds the namespace of the other end", "interface", s.Name)
		return nil
	}
	if err != nil {
		return err
	}
	defer other.ns.Close()
	return other.ns.Do(func() error { return ethtool.Restore(other.name, s.FeatureMask, s.FeatureWas) })
}

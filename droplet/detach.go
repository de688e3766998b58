// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/mizar-go/mizar/internal/attach"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/maps"
)

// Detach makes a droplet an ordinary interface again, with the settings that it had. Where it fails, or ctx
// ends, it may be called again, also by another process, and goes on where it stopped. A droplet whose interface
// is gone goes by the name it had. [maps.ErrNotFound]: there is none of that name.
func (m *Manager) Detach(ctx context.Context, name string) error {
	err := m.do(ctx, func() error {
		t, err := m.find(name)
		if err != nil {
			return err
		}
		return m.detach(ctx, t)
	})
	if err != nil {
		return fmt.Errorf("detach droplet %s: %w", name, err)
	}
	return nil
}

// detach removes what there is. The row in `restore` goes last: it says what is left to do. Each step may
// have been done before.
func (m *Manager) detach(ctx context.Context, t *trace) error {
	saved, there := t.savedOr(), !t.gone()
	return m.run(ctx, []step{
		{name: "xdp", do: func() error { return attach.Detach(m.links, t.ifindex, attach.TransitXDP) }},
		{name: "tcx", do: func() error { return m.detachTCX(saved, there) }},
		{name: "neighbours", do: func() error {
			if !there {
				return nil
			}
			return forget(ctx, t.ifindex)
		}},
		{name: "tables", do: func() error { return absent(m.tables.Droplets.Delete(t.ifindex)) }},
		{name: "settings", do: func() error {
			if !there {
				return nil
			}
			return ethtool.Restore(t.dev.Attrs().Name, saved.FeatureMask, saved.FeatureWas)
		}},
		{name: "restore", do: func() error {
			if t.saved == nil {
				return nil
			}
			return absent(m.tables.Restore.Delete(t.ifindex))
		}},
	})
}

// detachTCX takes the tcx program off, and the qdisc where it was made for it.
func (m *Manager) detachTCX(saved maps.Saved, there bool) error {
	if err := attach.Detach(m.links, saved.Ifindex, attach.TransitTCX); err != nil {
		return err
	}
	if !saved.Qdisc || !there {
		return nil
	}
	return attach.DetachClsact(saved.Ifindex)
}

// clear sees to it that nothing of a droplet is left on a device, or under its name. A droplet that
// works is in the way.
func (m *Manager) clear(ctx context.Context, dev *device) error {
	all, err := m.traces()
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.ifindex != dev.index() && !(t.gone() && t.name() == dev.Attrs().Name) {
			continue
		}
		if !t.gone() && !t.partial() {
			return maps.ErrExists
		}
		m.log.WarnContext(ctx, "remains of a droplet cleared away",
			slog.String("interface", t.name()), slog.Int("ifindex", t.ifindex), slog.Bool("gone", t.gone()))
		if err := m.detach(ctx, t); err != nil {
			return fmt.Errorf("clear away remains of droplet %s: %w", t.name(), err)
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/attach"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/maps"
)

// Attach makes an interface a droplet. It gives [ErrNoInterface], [ErrNoAddress], [ErrMTU], [ErrBusy];
// [bpf.ErrNotSupported] where the kernel or the driver cannot do what was asked; [bpf.ErrPermission];
// [maps.ErrInvalid] for a config that makes no sense, [maps.ErrFull]; and [maps.ErrExists] where the interface
// is a droplet, of this data-plane or of another, or one of its addresses, but for the first of a family, is
// another droplet's. Remains of a droplet of that name are cleared away first; but for that, nothing has
// changed where it fails.
func (m *Manager) Attach(ctx context.Context, c Config) (d *Droplet, err error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("attach droplet %s: %w", c.Interface, err)
	}
	err = m.do(ctx, func() error {
		d, err = m.attach(ctx, &c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("attach droplet %s: %w", c.Interface, err)
	}
	m.log.InfoContext(ctx, "droplet attached", slog.String("interface", d.Interface),
		slog.String("mode", d.Mode.String()), slog.String("why", d.Why))
	return d, nil
}

func (m *Manager) attach(ctx context.Context, c *Config) (*Droplet, error) {
	if err := attach.Capable(false); err != nil {
		return nil, err
	}
	dev, err := deviceByName(c.Interface)
	if err != nil {
		return nil, err
	}
	if err := m.clear(ctx, dev); err != nil {
		return nil, err
	}
	// Again: remains of ours may have been in the way.
	if dev, err = deviceByName(c.Interface); err != nil {
		return nil, err
	}
	addrs, err := m.check(dev, c)
	if err != nil {
		return nil, err
	}
	choices := choose(dev, c.Mode)
	row := rowOf(dev, addrs, c)
	return m.attachFirst(ctx, dev, row, choices)
}

// rowOf is what the table says of a device.
func rowOf(dev *device, addrs []netip.Addr, c *Config) maps.Droplet {
	return maps.Droplet{
		Ifindex: dev.index(), Addrs: addrs, MAC: dev.Attrs().HardwareAddr, MTU: min(dev.Attrs().MTU, maxMTU), Cookie: c.Cookie,
		TX: dev.kind() != "veth",
	}
}

// attachFirst attaches in the first of the modes that the device takes.
func (m *Manager) attachFirst(ctx context.Context, dev *device, row maps.Droplet, choices []choice) (*Droplet, error) {
	var refused error
	for _, c := range choices {
		if refused != nil {
			c.why = fmt.Sprintf("%s (%v)", c.why, refused)
		}
		d, err := m.attachAs(ctx, dev, row, c)
		if err == nil {
			return d, nil
		}
		refused = err
		// Over what is left of one mode, another would take it for how the device was found.
		if !errors.Is(err, bpf.ErrNotSupported) || errors.Is(err, errLeft) {
			break
		}
	}
	return nil, refused
}

// attachAs attaches in one mode. The tcx program goes before the XDP program: it takes what XDP leaves.
func (m *Manager) attachAs(ctx context.Context, dev *device, row maps.Droplet, c choice) (*Droplet, error) {
	name, index := dev.Attrs().Name, dev.index()
	want, err := wanted(dev, c.mode)
	if err != nil {
		return nil, err
	}
	saved := maps.Saved{Ifindex: index, Name: name, Role: maps.RoleDroplet, Mode: c.mode, Device: dev.identity()}
	if saved.FeatureMask, saved.FeatureWas, err = ethtool.Plan(name, want); err != nil {
		return nil, err
	}
	if saved.Qdisc, err = attach.NeedsClsact(index); err != nil {
		return nil, err
	}
	row.XDP = c.mode.XDP()
	steps := []step{
		{
			// First, so that whoever dies after it leaves word of what to put back.
			name: "restore",
			do:   func() error { return m.tables.Restore.Put(saved) },
			undo: func() error { return absent(m.tables.Restore.Delete(index)) },
		},
		{
			name: "settings",
			do:   func() error { return ethtool.Set(name, want) },
			undo: func() error { return ethtool.Restore(name, saved.FeatureMask, saved.FeatureWas) },
		},
		{
			name: "tables",
			do:   func() error { return m.tables.Droplets.Put(row) },
			undo: func() error { return absent(m.tables.Droplets.Delete(index)) },
		},
		{
			name: "slot", // of its traffic, which comes with the row
			do: func() (err error) {
				row, err = m.tables.Droplets.Get(index)
				return err
			},
		},
		{
			name: "tcx",
			do:   func() error { return m.attachTCX(index) },
			undo: func() error { return m.detachTCX(saved, true) },
		},
	}
	if c.mode.XDP() {
		steps = append(steps, step{name: "xdp", do: func() error {
			return attach.Attach(attach.Spec{
				Ifindex: index, Hook: attach.TransitXDP, Mode: c.mode, Program: m.programs.TransitXDP, Dir: m.links,
			})
		}})
	}
	if err := m.run(ctx, steps); err != nil {
		return nil, err
	}
	d := describe(row)
	d.Interface, d.Mode, d.Why = name, c.mode, c.why
	return d, nil
}

func (m *Manager) attachTCX(ifindex int) error {
	err := attach.Attach(attach.Spec{Ifindex: ifindex, Hook: attach.TransitTCX, Program: m.programs.TransitTCX, Dir: m.links})
	// A filter's priority may be anybody's. The rest is known to be a transit program's.
	if errors.Is(err, attach.ErrBusy) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("a droplet of another data-plane: %w: %w", maps.ErrExists, err)
	}
	return err
}

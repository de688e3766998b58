// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/mizar-go/mizar/dataplane"
)

// Keys among the external_ids of our ports.
const (
	idInstance = "transitd"
	idWorkload = "transitd-workload" // the port that it is wired to
	idHost     = "transitd-host"     // Port.Host
	idFlood    = "transitd-flood"    // the workload's port that we keep floods from
)

// Port is a port of a bridge. Its key is its name, which is that of an interface.
type Port struct {
	Bridge string
	Name   string
	// Tag is the VLAN that it is an access port of. Zero: none.
	Tag uint16
	// Workload is another port of the bridge. The two are wired to each other and to nothing else: what
	// one sends the other gets, and other ports' floods reach neither. Where only this one has a Tag, and
	// Workload's port is a trunk, it is wired to that VLAN of it, and the others remain the bridge's; else
	// both have to have the same. Empty: the bridge's own flows decide.
	//
	// What the bridge learned of the workload's MAC before it was wired, it forgets within its ageing time, 300
	// seconds; until then others' frames to that MAC reach the workload.
	//
	// The bridge's own flow, MAC learning, is for one endpoint in a VLAN only: behind all endpoints of this
	// host is one and the same MAC.
	Workload string
	// Host is kept with the port, for its maker: the interface at the other end of its veth.
	Host string
}

// Status is a port of ours, as it is.
type Status struct {
	Port
	Wired bool   // the flows are there, or none are wanted
	Error string // what ovs-vswitchd says that is wrong with the interface
}

// Bridge is what there is to know of a bridge.
type Bridge struct {
	Name string
	// Userspace: its datapath is ovs-vswitchd itself. To its packet sockets a packet has to come whole: no
	// checksum and no segmentation that somebody else shall do.
	Userspace bool
}

// Bridge looks a bridge up.
func (c *Client) Bridge(ctx context.Context, name string) (b Bridge, err error) {
	if !deviceName.MatchString(name) {
		return b, invalid("bridge %q: no name for one", name)
	}
	err = c.through(ctx, func(ctx context.Context) error {
		row, err := c.bridge(ctx, name)
		if err == nil {
			b = Bridge{row.Name, row.DatapathType == "netdev"}
		}
		return err
	})
	return b, err
}

// Add makes a port of a bridge, and wires it; or it changes the one of that name in as few steps as it takes,
// all of them or none. It waits until ovs-vswitchd has it. Where there was nothing to do, changed is false.
// Bridge and Workload have to be there ([dataplane.ErrNotFound]); a port that others made is [ErrNotOurs].
func (c *Client) Add(ctx context.Context, p Port) (changed bool, err error) {
	return c.add(ctx, p, false)
}

// Check tells whether [Client.Add] would change anything, or fail for what is there. It changes nothing.
func (c *Client) Check(ctx context.Context, p Port) (changes bool, err error) {
	return c.add(ctx, p, true)
}

func (c *Client) add(ctx context.Context, p Port, dry bool) (changed bool, err error) {
	if err := validate(p); err != nil {
		return false, fmt.Errorf("add port to bridge %s: %w", p.Bridge, err)
	}
	err = c.through(ctx, func(ctx context.Context) (err error) {
		var u undo
		defer func() {
			if err != nil {
				err = errors.Join(err, u.run(ctx))
			}
		}()
		row, err := c.planRow(ctx, p)
		if err != nil {
			return err
		}
		if dry {
			if changed = row != nil; changed {
				return nil
			}
			at, err := c.see(ctx, p.Bridge)
			if err != nil {
				return err
			}
			changed, err = c.unwired(ctx, p, at)
			return err
		}
		if row != nil {
			changed = true
			if err := row(&u); err != nil {
				return err
			}
		}
		wired, err := c.wire(ctx, &u, p)
		changed = changed || wired
		return err
	})
	if err != nil {
		return false, fmt.Errorf("add port %s to bridge %s: %w", p.Name, p.Bridge, err)
	}
	return changed, nil
}

// planRow is what makes the database right; nil where it is.
func (c *Client) planRow(ctx context.Context, p Port) (func(*undo) error, error) {
	bridge, err := c.bridge(ctx, p.Bridge)
	if err != nil {
		return nil, err
	}
	if err := c.checkWorkload(ctx, bridge, p); err != nil {
		return nil, err
	}
	row, err := c.port(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	if row == nil {
		return func(u *undo) error { return c.insert(ctx, u, bridge, p) }, nil
	}
	if row.ExternalIDs[idInstance] != c.Instance {
		return nil, fmt.Errorf("port %s: %w", p.Name, ErrNotOurs)
	}
	want := *row
	want.Tag, want.ExternalIDs = tag(p.Tag), c.ids(p, row.ExternalIDs)
	from, err := c.bridgeOf(ctx, row)
	if err != nil {
		return nil, err
	}
	if from != nil && from.UUID == bridge.UUID && same(row, &want) {
		return nil, nil
	}
	return func(u *undo) error {
		return c.do(ctx, u, "change", func() error {
			return c.change(ctx, &want, from, bridge)
		}, func(ctx context.Context) error {
			_, err := c.commitChange(ctx, row, bridge, from)
			return err
		})
	}, nil
}

// checkWorkload sees whether the two ports can be wired.
func (c *Client) checkWorkload(ctx context.Context, bridge *bridgeRow, p Port) error {
	if p.Workload == "" {
		return nil
	}
	w, err := c.port(ctx, p.Workload)
	if err != nil {
		return err
	}
	if w == nil || !slices.Contains(bridge.Ports, w.UUID) {
		return notFound("workload's port %s", p.Workload)
	}
	if w.Tag != nil && *w.Tag != int(p.Tag) {
		return invalid("workload's port %s is in VLAN %d", p.Workload, *w.Tag)
	}
	return nil
}

// insert makes the rows of a port, and waits until ovs-vswitchd has it.
func (c *Client) insert(ctx context.Context, u *undo, bridge *bridgeRow, p Port) error {
	dev := &interfaceRow{UUID: "new_interface", Name: p.Name}
	port := &portRow{
		UUID: "new_port", Name: p.Name, Interfaces: []string{dev.UUID}, Tag: tag(p.Tag), ExternalIDs: c.ids(p, nil),
	}
	return c.do(ctx, u, "insert", func() error {
		first, err := c.db.Create(dev)
		if err != nil {
			return err
		}
		second, err := c.db.Create(port)
		if err != nil {
			return err
		}
		plug, err := c.members(bridge, ovsdb.MutateOperationInsert, port.UUID)
		if err != nil {
			return err
		}
		config, err := c.commit(ctx, slices.Concat(first, second, plug)...)
		if err != nil {
			return err
		}
		return c.settled(ctx, config, p.Name)
	}, func(ctx context.Context) error {
		_, err := c.remove(ctx, p.Name)
		return err
	})
}

// change has a row be another, at another bridge where the two differ, and waits.
func (c *Client) change(ctx context.Context, want *portRow, from, to *bridgeRow) error {
	config, err := c.commitChange(ctx, want, from, to)
	if err != nil {
		return err
	}
	return c.settled(ctx, config, want.Name)
}

func (c *Client) commitChange(ctx context.Context, want *portRow, from, to *bridgeRow) (int, error) {
	ops, err := c.db.Where(want).Update(want, &want.Tag, &want.ExternalIDs)
	if err != nil {
		return 0, err
	}
	move := func(at *bridgeRow, mutator ovsdb.Mutator) {
		if at == nil || err != nil {
			return
		}
		var more []ovsdb.Operation
		more, err = c.members(at, mutator, want.UUID)
		ops = append(ops, more...)
	}
	if from == nil || to == nil || from.UUID != to.UUID {
		move(from, ovsdb.MutateOperationDelete)
		move(to, ovsdb.MutateOperationInsert)
	}
	if err != nil {
		return 0, err
	}
	return c.commit(ctx, ops...)
}

// members puts a port among those of a bridge, or takes it from there.
func (c *Client) members(bridge *bridgeRow, mutator ovsdb.Mutator, port string) ([]ovsdb.Operation, error) {
	return c.db.Where(bridge).Mutate(bridge, model.Mutation{
		Field: &bridge.Ports, Mutator: mutator, Value: []string{port},
	})
}

// settled waits for ovs-vswitchd, and has its word on the interface.
func (c *Client) settled(ctx context.Context, config int, name string) error {
	if err := c.taken(ctx, config); err != nil {
		return err
	}
	dev := &interfaceRow{Name: name}
	if err := c.db.Get(ctx, dev); err != nil {
		return fmt.Errorf("read interface %s: %w", name, err)
	}
	if dev.Error != nil {
		return fmt.Errorf("interface %s: %w: %s", name, ErrRefused, *dev.Error)
	}
	if dev.Ofport == nil || *dev.Ofport < 1 {
		return fmt.Errorf("interface %s: %w: it got no port number", name, ErrRefused)
	}
	return nil
}

// Remove removes a port that we made, and its flows. One that is not there, or not ours, is
// [dataplane.ErrNotFound]. When it returns, ovs-vswitchd has let go of the interface, or is not there.
func (c *Client) Remove(ctx context.Context, name string) error {
	err := c.through(ctx, func(ctx context.Context) error {
		if !deviceName.MatchString(name) {
			return invalid("no name for one")
		}
		return c.removeAll(ctx, name)
	})
	if err != nil {
		return fmt.Errorf("remove port %s: %w", name, err)
	}
	return nil
}

func (c *Client) removeAll(ctx context.Context, name string) error {
	row, err := c.port(ctx, name)
	if err != nil {
		return err
	}
	if row != nil && row.ExternalIDs[idInstance] != c.Instance {
		return fmt.Errorf("made by somebody else: %w", dataplane.ErrNotFound)
	}
	if row == nil {
		return c.sweep(ctx, name)
	}
	bridge, err := c.bridgeOf(ctx, row)
	if err != nil {
		return err
	}
	if bridge != nil {
		if err := c.unwire(ctx, bridge.Name, row); err != nil {
			return err
		}
	}
	config, err := c.remove(ctx, name)
	if err != nil {
		return err
	}
	if err := c.taken(ctx, config); err != nil {
		c.Logger.Warn("ovs-vswitchd has not let go of a port that was removed", "port", name, "err", err)
	}
	return nil
}

// sweep removes the flows of a port whose row others have removed.
func (c *Client) sweep(ctx context.Context, name string) error {
	bridges, err := c.bridges(ctx)
	if err != nil {
		return err
	}
	found := false
	for _, b := range bridges {
		flows, err := c.flows(ctx, b.Name)
		if err != nil || len(flows[c.cookie(name)]) == 0 {
			continue // of a bridge that is not up
		}
		found = true
		if err := c.deleteFlows(ctx, b.Name, c.cookie(name)); err != nil {
			return err
		}
	}
	if !found {
		return dataplane.ErrNotFound
	}
	return nil
}

// remove takes the rows of a port away, as they are now.
func (c *Client) remove(ctx context.Context, name string) (config int, err error) {
	row, err := c.port(ctx, name)
	if err != nil || row == nil {
		return 0, err
	}
	bridge, err := c.bridgeOf(ctx, row)
	if err != nil || bridge == nil {
		return 0, err // without a bridge OVSDB forgets it
	}
	ops, err := c.members(bridge, ovsdb.MutateOperationDelete, row.UUID)
	if err != nil {
		return 0, err
	}
	return c.commit(ctx, ops...)
}

// Ports lists our ports, sorted by name, and how they are: what to compare with what is wanted.
func (c *Client) Ports(ctx context.Context) (all []Status, err error) {
	err = c.through(ctx, func(ctx context.Context) error {
		all, err = c.statuses(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list ports: %w", err)
	}
	return all, nil
}

// Mend puts back the flows of our ports that are missing, as they are after ovs-vswitchd was started again, and
// tells whose. What is wanted it reads from OVSDB. Call it from time to time: until then, the bridge treats a
// wired port like all others.
func (c *Client) Mend(ctx context.Context) (mended []Port, err error) {
	err = c.through(ctx, func(ctx context.Context) error {
		all, err := c.statuses(ctx)
		if err != nil {
			return err
		}
		var errs []error
		for _, s := range all {
			if s.Wired || s.Bridge == "" || s.Error != "" {
				continue
			}
			var u undo
			if _, err := c.wire(ctx, &u, s.Port); err != nil {
				errs = append(errs, fmt.Errorf("port %s: %w", s.Name, err))
				continue
			}
			mended = append(mended, s.Port)
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return mended, fmt.Errorf("mend ports: %w", err)
	}
	return mended, nil
}

// Find is the port of ours with that Host; nil: there is none.
func (c *Client) Find(ctx context.Context, host string) (found *Port, err error) {
	err = c.through(ctx, func(ctx context.Context) error {
		var rows []portRow
		if err := c.db.List(ctx, &rows); err != nil {
			return unavailable(err)
		}
		for _, row := range rows {
			if row.ExternalIDs[idInstance] != c.Instance || row.ExternalIDs[idHost] != host {
				continue
			}
			p, err := c.describe(ctx, &row)
			found = &p
			return err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find the port of %s: %w", host, err)
	}
	return found, nil
}

// describe is what was asked for when a port was made.
func (c *Client) describe(ctx context.Context, row *portRow) (Port, error) {
	p := Port{Name: row.Name, Workload: row.ExternalIDs[idWorkload], Host: row.ExternalIDs[idHost]}
	if row.Tag != nil {
		p.Tag = uint16(*row.Tag)
	}
	bridge, err := c.bridgeOf(ctx, row)
	if bridge != nil {
		p.Bridge = bridge.Name
	}
	return p, err
}

// statuses looks at each bridge once.
func (c *Client) statuses(ctx context.Context) ([]Status, error) {
	var rows []portRow
	if err := c.db.List(ctx, &rows); err != nil {
		return nil, unavailable(err)
	}
	var all []Status
	bridges := make(map[string]*seen)
	for _, row := range rows {
		if row.ExternalIDs[idInstance] != c.Instance {
			continue
		}
		p, err := c.describe(ctx, &row)
		if err != nil {
			return nil, err
		}
		at, ok := bridges[p.Bridge]
		if !ok && p.Bridge != "" {
			if at, err = c.see(ctx, p.Bridge); err != nil {
				at = nil
				c.Logger.Debug("a bridge does not tell its flows", "bridge", p.Bridge, "err", err)
			}
			bridges[p.Bridge] = at
		}
		s := Status{Port: p}
		dev := &interfaceRow{Name: row.Name}
		if err := c.db.Get(ctx, dev); err == nil && dev.Error != nil {
			s.Error = *dev.Error
		}
		if at != nil {
			missing, err := c.unwired(ctx, p, at)
			s.Wired = err == nil && !missing
		}
		all = append(all, s)
	}
	if err := ctx.Err(); err != nil {
		return nil, unavailable(err)
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// bridgeOf is the bridge that a port is at; nil where it is at none.
func (c *Client) bridgeOf(ctx context.Context, row *portRow) (*bridgeRow, error) {
	bridges, err := c.bridges(ctx)
	if err != nil {
		return nil, err
	}
	for i := range bridges {
		if slices.Contains(bridges[i].Ports, row.UUID) {
			return &bridges[i], nil
		}
	}
	return nil, nil
}

// ids are the external_ids of a port: what others wrote there stays.
func (c *Client) ids(p Port, now map[string]string) map[string]string {
	ids := make(map[string]string)
	maps.Copy(ids, now)
	ids[idInstance] = c.Instance
	for key, value := range map[string]string{idWorkload: p.Workload, idHost: p.Host} {
		if value == "" {
			delete(ids, key)
		} else {
			ids[key] = value
		}
	}
	return ids
}

func tag(n uint16) *int {
	if n == 0 {
		return nil
	}
	i := int(n)
	return &i
}

// same tells whether two rows of one port are alike, in what we write.
func same(a, b *portRow) bool {
	return maps.Equal(a.ExternalIDs, b.ExternalIDs) && (a.Tag == nil) == (b.Tag == nil) && (a.Tag == nil || *a.Tag == *b.Tag)
}

// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// wiring is what a port takes beyond its rows, or has too much.
type wiring struct {
	endpoint, workload flowPort
	trunk              bool            // only one VLAN of the workload's port is ours
	now, want          map[string]bool // flows
}

// seen is what a bridge has of flows and ports.
type seen struct {
	flows map[uint64]map[string]bool
	ports map[string]flowPort
}

func (c *Client) see(ctx context.Context, bridge string) (*seen, error) {
	flows, err := c.flows(ctx, bridge)
	if err != nil {
		return nil, err
	}
	ports, err := c.flowPorts(ctx, bridge)
	return &seen{flows, ports}, err
}

// look compares what a port has with what it shall have.
func (c *Client) look(ctx context.Context, p Port, at *seen) (*wiring, error) {
	w := &wiring{now: at.flows[c.cookie(p.Name)], want: make(map[string]bool)}
	var ok bool
	if w.endpoint, ok = at.ports[p.Name]; !ok {
		return nil, notFound("port %s in the switch", p.Name)
	}
	if p.Workload == "" {
		return w, nil
	}
	if w.workload, ok = at.ports[p.Workload]; !ok {
		return nil, notFound("workload's port %s in the switch", p.Workload)
	}
	row, err := c.port(ctx, p.Workload)
	if err != nil {
		return nil, err
	}
	w.trunk = p.Tag != 0 && row != nil && row.Tag == nil
	out := func(match, actions string) {
		w.want[fmt.Sprintf("priority=%d,%s actions=%s", priority, match, actions)] = true
	}
	if w.trunk {
		out(fmt.Sprintf("in_port=%s,dl_vlan=%d", w.workload.number, p.Tag), "strip_vlan,output:"+w.endpoint.number)
		out("in_port="+w.endpoint.number, fmt.Sprintf("mod_vlan_vid:%d,output:%s", p.Tag, w.workload.number))
	} else {
		out("in_port="+w.workload.number, "output:"+w.endpoint.number)
		out("in_port="+w.endpoint.number, "output:"+w.workload.number)
	}
	return w, nil
}

// done tells whether all is as it shall be.
func (w *wiring) done(p Port) bool {
	switch {
	case !maps.Equal(w.now, w.want):
		return false
	case p.Workload == "":
		return !w.endpoint.noFlood
	}
	return w.endpoint.noFlood && (w.trunk || w.workload.noFlood)
}

// unwired tells whether a port lacks flows, or has too many.
func (c *Client) unwired(ctx context.Context, p Port, at *seen) (bool, error) {
	w, err := c.look(ctx, p, at)
	if err != nil {
		return false, err
	}
	return !w.done(p), nil
}

// wire makes the flows of a port what they shall be. Where nothing had to be done, changed is false.
func (c *Client) wire(ctx context.Context, u *undo, p Port) (changed bool, err error) {
	at, err := c.see(ctx, p.Bridge)
	if err != nil {
		return false, err
	}
	w, err := c.look(ctx, p, at)
	if err != nil {
		return false, err
	}
	row, err := c.port(ctx, p.Name)
	if err != nil {
		return false, err
	}
	if row == nil {
		return false, notFound("port %s", p.Name)
	}
	if held := row.ExternalIDs[idFlood]; held != "" && held != p.Workload {
		changed = true
		err := c.do(ctx, u, "release", func() error {
			return c.release(ctx, p.Bridge, row)
		}, func(ctx context.Context) error {
			ports, err := c.flowPorts(ctx, p.Bridge)
			if at, ok := ports[held]; ok {
				err = c.flood(ctx, p.Bridge, at, false)
			}
			return errors.Join(err, c.note(ctx, row, held))
		})
		if err != nil {
			return true, err
		}
	}
	if w.done(p) {
		return changed, nil
	}
	if p.Workload != "" && !w.trunk && !w.workload.noFlood {
		if err := c.hold(ctx, u, p, row, w.workload); err != nil {
			return true, err
		}
	}
	if w.endpoint.noFlood != (p.Workload != "") {
		err := c.do(ctx, u, "flood", func() error {
			return c.flood(ctx, p.Bridge, w.endpoint, p.Workload == "")
		}, func(ctx context.Context) error {
			return c.flood(ctx, p.Bridge, w.endpoint, !w.endpoint.noFlood)
		})
		if err != nil {
			return true, err
		}
	}
	return true, c.do(ctx, u, "flows", func() error {
		return c.replaceFlows(ctx, p, w.now, w.want)
	}, func(ctx context.Context) error {
		return c.replaceFlows(ctx, p, w.want, w.now)
	})
}

// replaceFlows adds what is wanted, and where something is too much, deletes all first: a flow's cookie is
// all that tells it from others'.
func (c *Client) replaceFlows(ctx context.Context, p Port, now, want map[string]bool) error {
	cookie := c.cookie(p.Name)
	for flow := range now {
		if !want[flow] {
			if err := c.deleteFlows(ctx, p.Bridge, cookie); err != nil {
				return err
			}
			break
		}
	}
	for flow := range want {
		if err := c.addFlow(ctx, p.Bridge, cookie, flow); err != nil {
			return err
		}
	}
	return nil
}

// hold keeps floods from the workload's port, after writing down that it was us.
func (c *Client) hold(ctx context.Context, u *undo, p Port, row *portRow, at flowPort) error {
	if row.ExternalIDs[idFlood] != p.Workload {
		if err := c.do(ctx, u, "note", func() error {
			return c.note(ctx, row, p.Workload)
		}, func(ctx context.Context) error {
			return c.note(ctx, row, "")
		}); err != nil {
			return err
		}
	}
	return c.do(ctx, u, "hold", func() error {
		return c.flood(ctx, p.Bridge, at, false)
	}, func(ctx context.Context) error {
		return c.flood(ctx, p.Bridge, at, true)
	})
}

// note writes into a port's row which port we keep floods from; empty: none.
func (c *Client) note(ctx context.Context, row *portRow, workload string) error {
	want := *row
	want.ExternalIDs = maps.Clone(row.ExternalIDs)
	want.ExternalIDs[idFlood] = workload
	if workload == "" {
		delete(want.ExternalIDs, idFlood)
	}
	ops, err := c.db.Where(&want).Update(&want, &want.ExternalIDs)
	if err != nil {
		return err
	}
	if _, err = c.commit(ctx, ops...); err == nil {
		row.ExternalIDs = want.ExternalIDs
	}
	return err
}

// release lets floods reach again the port that we kept them from, if it is still there.
func (c *Client) release(ctx context.Context, bridge string, row *portRow) error {
	held := row.ExternalIDs[idFlood]
	if held == "" {
		return nil
	}
	ports, err := c.flowPorts(ctx, bridge)
	if err != nil {
		return err
	}
	if p, ok := ports[held]; ok {
		if err := c.flood(ctx, bridge, p, true); err != nil {
			return err
		}
	}
	return c.note(ctx, row, "")
}

// unwire removes a port's flows. With ovs-vswitchd they are gone anyway.
func (c *Client) unwire(ctx context.Context, bridge string, row *portRow) error {
	err := errors.Join(c.deleteFlows(ctx, bridge, c.cookie(row.Name)), c.release(ctx, bridge, row))
	if errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		c.Logger.Warn("ovs-vswitchd does not answer: flows are removed with it", "bridge", bridge, "err", err)
		return nil
	}
	return err
}

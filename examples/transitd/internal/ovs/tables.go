// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// What we read and write of the database Open_vSwitch (ovs-vswitchd.conf.db(5)).

type rootRow struct {
	UUID    string `ovsdb:"_uuid"`
	CurCfg  int    `ovsdb:"cur_cfg"`
	NextCfg int    `ovsdb:"next_cfg"`
}

type bridgeRow struct {
	UUID         string   `ovsdb:"_uuid"`
	Name         string   `ovsdb:"name"`
	Ports        []string `ovsdb:"ports"`
	DatapathType string   `ovsdb:"datapath_type"`
}

type portRow struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Interfaces  []string          `ovsdb:"interfaces"`
	Tag         *int              `ovsdb:"tag"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

type interfaceRow struct {
	UUID   string  `ovsdb:"_uuid"`
	Name   string  `ovsdb:"name"`
	Error  *string `ovsdb:"error"`
	Ofport *int    `ovsdb:"ofport"`
}

func models() (model.ClientDBModel, error) {
	return model.NewClientDBModel("Open_vSwitch", map[string]model.Model{
		"Open_vSwitch": &rootRow{}, "Bridge": &bridgeRow{}, "Port": &portRow{}, "Interface": &interfaceRow{},
	})
}

// tables are what the client keeps a copy of.
func tables() []client.MonitorOption {
	root, bridge, port, dev := &rootRow{}, &bridgeRow{}, &portRow{}, &interfaceRow{}
	return []client.MonitorOption{
		client.WithTable(root, &root.CurCfg, &root.NextCfg),
		client.WithTable(bridge, &bridge.Name, &bridge.Ports, &bridge.DatapathType),
		client.WithTable(port, &port.Name, &port.Interfaces, &port.Tag, &port.ExternalIDs),
		client.WithTable(dev, &dev.Name, &dev.Error, &dev.Ofport),
	}
}

// root is the one row of Open_vSwitch.
func (c *Client) root(ctx context.Context) (*rootRow, error) {
	var rows []rootRow
	if err := c.db.List(ctx, &rows); err != nil {
		return nil, fmt.Errorf("read OVSDB: %w", unavailable(err))
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("read OVSDB: %d rows of Open_vSwitch: %w", len(rows), ErrUnavailable)
	}
	return &rows[0], nil
}

func (c *Client) bridges(ctx context.Context) (rows []bridgeRow, err error) {
	if err := c.db.List(ctx, &rows); err != nil {
		return nil, fmt.Errorf("read bridges: %w", unavailable(err))
	}
	return rows, nil
}

func (c *Client) bridge(ctx context.Context, name string) (*bridgeRow, error) {
	row := &bridgeRow{Name: name}
	switch err := c.db.Get(ctx, row); {
	case errors.Is(err, client.ErrNotFound):
		return nil, notFound("bridge %s of Open vSwitch", name)
	case err != nil:
		return nil, fmt.Errorf("read bridge %s: %w", name, unavailable(err))
	}
	return row, nil
}

// port is a row by its name; nil where there is none.
func (c *Client) port(ctx context.Context, name string) (*portRow, error) {
	row := &portRow{Name: name}
	switch err := c.db.Get(ctx, row); {
	case errors.Is(err, client.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read port %s: %w", name, unavailable(err))
	}
	return row, nil
}

// commit makes a change to the database, and says which configuration ovs-vswitchd has to have taken over to
// have it.
func (c *Client) commit(ctx context.Context, ops ...ovsdb.Operation) (config int, err error) {
	root, err := c.root(ctx)
	if err != nil {
		return 0, err
	}
	next, err := c.db.Where(root).Mutate(root, model.Mutation{
		Field: &root.NextCfg, Mutator: ovsdb.MutateOperationAdd, Value: 1,
	})
	if err != nil {
		return 0, fmt.Errorf("change OVSDB: %w", err)
	}
	ops = append(ops, next...)
	results, err := c.db.Transact(ctx, ops...)
	if err != nil {
		return 0, fmt.Errorf("change OVSDB: %w", unavailable(err))
	}
	if which, err := ovsdb.CheckOperationResults(results, ops); err != nil {
		for _, one := range which {
			err = fmt.Errorf("%w: %w", err, one)
		}
		return 0, fmt.Errorf("change OVSDB: %w", err)
	}
	// The server tells of a change before it answers (RFC 7047, 4.1.6), so the copy has it.
	if root, err = c.root(ctx); err != nil {
		return 0, err
	}
	return root.NextCfg, nil
}

// taken waits until ovs-vswitchd has taken a configuration over. For one that does not run with the bridge it does not
// wait.
func (c *Client) taken(ctx context.Context, config int, bridge string) error {
	tick, look := time.NewTicker(2*time.Millisecond), time.NewTicker(aliveEvery)
	defer tick.Stop()
	defer look.Stop()
	for {
		root, err := c.root(ctx)
		if err != nil {
			return err
		}
		if root.CurCfg >= config {
			return nil
		}
		select {
		case <-tick.C:
		case <-look.C:
			if err := c.alive(ctx, bridge); err != nil {
				return fmt.Errorf("wait for it: %w", err)
			}
		case <-ctx.Done():
			return fmt.Errorf("wait for ovs-vswitchd: %w", unavailable(ctx.Err()))
		}
	}
}

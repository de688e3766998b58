// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"iter"
	"net/netip"

	"github.com/mizar-go/mizar/maps"
)

// Rows is the manager of a table whose rows are all there is to them: peers, VPCs, networks. Its calls
// may run at the same time.
type Rows[Key, Row any] struct {
	dp    *Dataplane
	table table[Key, Row]
	hosts func(Row) []netip.Addr // that packets are sent to because of the row; nil: none
}

// The managers, by their tables.
type (
	// Peers are the underlay prefixes that tunnel packets are taken from. Without any, none is.
	Peers = Rows[netip.Prefix, maps.Peer]
	// VPCs are the tenants' address spaces. Removing one voids what was learned in it.
	VPCs = Rows[uint32, maps.VPC]
	// Networks are the prefixes of the VPCs.
	Networks = Rows[maps.NetworkKey, maps.Network]
)

// table is what the typed tables have in common.
type table[Key, Row any] interface {
	Put(Row) error
	PutAll([]Row) error
	Get(Key) (Row, error)
	Delete(Key) error
	DeleteAll([]Key) error
	All() iter.Seq2[Row, error]
}

// Add adds a row, or replaces the one of the same key. A row that makes no sense gives [ErrInvalid], one that
// there is no room for [ErrFull]; then no row has changed.
func (r *Rows[Key, Row]) Add(ctx context.Context, row Row) error {
	if err := r.dp.gate.through(ctx, func() error { return r.table.Put(row) }); err != nil {
		return err
	}
	r.resolve(ctx, row)
	return nil
}

// AddAll is Add for many rows, much faster than one by one. If one makes no sense, none is added; where there
// is no room, those before it stay.
func (r *Rows[Key, Row]) AddAll(ctx context.Context, rows []Row) error {
	err := r.dp.gate.through(ctx, func() error { return r.table.PutAll(rows) })
	if written(err) {
		r.resolve(ctx, rows...)
	}
	return err
}

// Remove removes a row. Where there is none it gives [ErrNotFound].
func (r *Rows[Key, Row]) Remove(ctx context.Context, key Key) error {
	return r.dp.gate.through(ctx, func() error { return r.table.Delete(key) })
}

// RemoveAll is Remove for many rows. It removes all that are there; if one was not, it gives [ErrNotFound].
func (r *Rows[Key, Row]) RemoveAll(ctx context.Context, keys []Key) error {
	return r.dp.gate.through(ctx, func() error { return r.table.DeleteAll(keys) })
}

// Get reads a row. Where there is none it gives [ErrNotFound].
func (r *Rows[Key, Row]) Get(ctx context.Context, key Key) (row Row, err error) {
	err = r.dp.gate.through(ctx, func() error {
		row, err = r.table.Get(key)
		return err
	})
	return row, err
}

// List iterates over all rows, in no order. It ends at the first error. The loop may change rows; whether
// it comes to see those is not said.
func (r *Rows[Key, Row]) List(ctx context.Context) iter.Seq2[Row, error] {
	return each(ctx, &r.dp.gate, r.table.All)
}

// resolve has the kernel keep the neighbours on the way to the rows' hosts.
func (r *Rows[Key, Row]) resolve(ctx context.Context, rows ...Row) {
	if r.hosts == nil {
		return
	}
	r.dp.hosts.add(ctx, func(yield func(netip.Addr) bool) {
		for _, row := range rows {
			for _, host := range r.hosts(row) {
				if !yield(host) {
					return
				}
			}
		}
	})
}

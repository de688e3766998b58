// SPDX-License-Identifier: Apache-2.0

package fill

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/maps"
)

// Table is one of the data-plane's tables.
type Table struct {
	Name string // as the kernel has it: endpoints, vpcs
	// Entries is how many rows it has. Of directs and paths, which never are full, as the least used row makes
	// room, those that programs still go by.
	Entries  uint64
	Capacity uint64 // how many it has room for
}

// count walks through all tables. One that fails is left out.
func count(ctx context.Context, bpffs, name string) (tables []Table, err error) {
	v, err := dataplane.InspectAt(bpffs, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	limits, err := v.Limits(ctx)
	if err != nil {
		return nil, err
	}
	fixed, err := bpf.LoadTable() // that the pinned ones are of these sizes, InspectAt has seen to
	if err != nil {
		return nil, err
	}
	var allowed, interfaces uint64
	var errs []error
	add := func(name string, capacity uint32, n uint64, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("table %s: %w", name, err))
			return
		}
		tables = append(tables, Table{name, n, uint64(capacity)})
	}
	sized := func(name string, capacity uint32) func(uint64, error) {
		return func(n uint64, err error) { add(name, capacity, n, err) }
	}
	sized(bpf.TableMapPeers, limits.Peers)(rows(v.Peers(ctx)))
	sized(bpf.TableMapVpcs, limits.VPCs)(rows(v.VPCs(ctx)))
	sized(bpf.TableMapNetworks, limits.Networks)(rows(v.Networks(ctx)))
	sized(bpf.TableMapEndpoints, limits.Endpoints)(rows(v.Endpoints(ctx)))
	sized(bpf.TableMapDirects, limits.Directs)(rows(v.Directs(ctx)))
	sized(bpf.TableMapPaths, limits.Paths)(rows(v.Paths(ctx)))
	sized(bpf.TableMapRestore, fixed.Maps[bpf.TableMapRestore].MaxEntries)(rows(v.Interfaces(ctx)))
	sized(bpf.TableMapChains, fixed.Maps[bpf.TableMapChains].MaxEntries)(chains(v.Stages(ctx)))

	droplets, err := rows(v.Droplets(ctx))
	add(bpf.TableMapDroplets, fixed.Maps[bpf.TableMapDroplets].MaxEntries, droplets, err)
	interfaces += droplets
	failed := err
	agents, err := sum(v.Agents(ctx), func(a maps.Agent) { allowed += uint64(len(a.Allowed)) })
	add(bpf.TableMapAgents, limits.Agents, agents, err)
	add(bpf.TableMapAllowed, limits.Allowed, allowed, err)
	interfaces += agents
	// Each of the two has one slot for its traffic, and the first is nobody's.
	add(bpf.TableMapTraffic, limits.Traffic-1, interfaces, errors.Join(failed, err))

	slices.SortFunc(tables, func(a, b Table) int { return strings.Compare(a.Name, b.Name) })
	return tables, errors.Join(errs...)
}

func rows[T any](all iter.Seq2[T, error]) (uint64, error) {
	return sum(all, func(T) {})
}

// sum counts, and shows f what it counts.
func sum[T any](all iter.Seq2[T, error], f func(T)) (n uint64, err error) {
	for row, err := range all {
		if err != nil {
			return 0, err
		}
		f(row)
		n++
	}
	return n, nil
}

// chains counts rows: one has the chains of all stages of the host, of a VPC or of an endpoint.
func chains(all iter.Seq2[dataplane.Chain, error]) (uint64, error) {
	type key struct {
		vni     uint32
		ifindex int
	}
	of := make(map[key]struct{})
	_, err := sum(all, func(c dataplane.Chain) { of[key{c.VNI, c.Ifindex}] = struct{}{} })
	return uint64(len(of)), err
}

// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/maps"
)

// Dataplane is an instance that this process has open: nobody else may change it meanwhile. All of it is
// safe for concurrent use.
type Dataplane struct {
	Peer     *Peers     // who may send us tunnel packets
	VPC      *VPCs      // tenants, and the dividers of each
	Network  *Networks  // prefixes of the tenants, and the bouncers of each
	Droplet  *Droplets  // our interfaces on the substrate
	Endpoint *Endpoints // workloads, here and elsewhere
	Function *Functions // network functions that are loaded
	Stage    *Stages    // the functions that packets run through
	Stats    *Stats     // counts, and the drops themselves

	gate   gate
	ctx    context.Context // ends with Close, for what waits
	cancel context.CancelCauseFunc
	name   string
	log    *slog.Logger
	pins   pins
	lock   *lock
	ns     *netns.Handle
	report Report
	hosts  hosts

	tables   *bpf.Tables
	programs *bpf.Programs
	rows     *maps.Tables
}

// Name is the instance's.
func (dp *Dataplane) Name() string { return dp.name }

// Limits are the sizes of the tables, as they are.
func (dp *Dataplane) Limits() bpf.Limits { return dp.report.Limits }

// Close lets go of the instance, for another to open: of descriptors and of the lock. Traffic goes on,
// by what is pinned. It waits for running calls, but not for loops over iterators: these end with
// [ErrClosed]. It may be called again, and after Destroy.
func (dp *Dataplane) Close() error {
	if dp.cancel != nil {
		dp.cancel(ErrClosed)
	}
	if !dp.gate.close() {
		return nil
	}
	if err := dp.letGo(); err != nil {
		return fmt.Errorf("close data-plane %s: %w", dp.name, err)
	}
	return nil
}

// letGo closes all that is open, as far as Open came. The lock is last.
func (dp *Dataplane) letGo() error {
	var errs []error
	if dp.programs != nil {
		errs = append(errs, dp.programs.Close())
	}
	if dp.rows != nil {
		errs = append(errs, dp.rows.Close())
	}
	if dp.tables != nil {
		errs = append(errs, dp.tables.Close())
	}
	return errors.Join(append(errs, dp.ns.Close(), dp.lock.release())...)
}

// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
)

// Destroy removes the instance: endpoints, droplets, and all that is pinned. Interfaces get back the
// settings that they had. As after Close, every later call gives [ErrClosed].
//
// Where an endpoint or droplet cannot be removed it goes on with the others, and returns all errors. Then
// what is needed to try again stays pinned: Open adopts what is left.
func (dp *Dataplane) Destroy(ctx context.Context) error {
	dp.cancel(ErrClosed)
	if !dp.gate.close() {
		return ErrClosed
	}
	err := dp.remove(ctx)
	if err = errors.Join(err, dp.letGo()); err != nil {
		return fmt.Errorf("destroy data-plane %s: %w", dp.name, err)
	}
	return nil
}

func (dp *Dataplane) remove(ctx context.Context) error {
	if err := errors.Join(dp.deleteEndpoints(ctx), dp.detachDroplets(ctx)); err != nil {
		return err
	}
	if err := dp.Droplet.m.RemoveFIB(ctx); err != nil {
		return err
	}
	// Nothing that is attached needs the pins any more. They go out of the way whole, so that whoever dies
	// now leaves no half of an instance.
	return errors.Join(dp.pins.discard(), dp.pins.sweep(), dp.pins.prune())
}

// deleteEndpoints deletes those of this host. First, as without droplets they would be cut off anyway.
func (dp *Dataplane) deleteEndpoints(ctx context.Context) error {
	var errs []error
	for e, err := range dp.Endpoint.m.Local(ctx) {
		if err == nil {
			err = dp.Endpoint.m.Delete(ctx, e.HostInterface)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// detachDroplets takes the neighbours with them that were resolved for them.
func (dp *Dataplane) detachDroplets(ctx context.Context) error {
	var errs []error
	for d, err := range dp.Droplet.m.List(ctx) {
		if err == nil {
			err = dp.Droplet.m.Detach(ctx, d.Interface)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

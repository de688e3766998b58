// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/mizar-go/mizar/dataplane"
)

// Mirror gives an endpoint copies of what runs through it, at stage send: whole frames, addressed as they were, for a
// packet socket to read. Larger ones than the mirror's MTU do not get there. It works in tcx only.
type Mirror struct{ *dataplane.Function }

// NewMirror loads it. Whose chain it comes into has to be of the mirror's VPC, on the same host.
func NewMirror(ctx context.Context, dp *dataplane.Dataplane, name string, to netip.Addr) (*Mirror, error) {
	spec, err := loadMirror()
	if err != nil {
		return nil, err
	}
	if err := spec.Variables[mirrorVarMirror].Set(to.As16()); err != nil {
		return nil, fmt.Errorf("mirror to %v: %w", to, err)
	}
	f, err := dp.Function.Load(ctx, name, spec)
	if err != nil {
		return nil, err
	}
	return &Mirror{f}, nil
}

// Copies counts the copies that were made, and those that could not be: there is no such endpoint here.
func (m *Mirror) Copies() (made, failed uint64, err error) {
	var cpus []mirrorCopied
	if err := m.Maps[mirrorMapCopies].Lookup(uint32(0), &cpus); err != nil {
		return 0, 0, fmt.Errorf("count copies: %w", err)
	}
	for _, c := range cpus {
		made += c.Made
		failed += c.Failed
	}
	return made, failed, nil
}

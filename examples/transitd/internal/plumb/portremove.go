// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"errors"

	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
)

// RemovePort removes a port that we made, also one of which only a part is left. The endpoint is to be deleted
// before.
func (p *Plumber) RemovePort(ctx context.Context, hostInterface string) error {
	_, err := p.apply(ctx, "remove port "+hostInterface, false, func(ctx context.Context) (*plan, error) {
		return p.planNoPort(ctx, hostInterface)
	})
	return err
}

// CheckNoPort says what [Plumber.RemovePort] would fail for: Open vSwitch, that does not answer.
func (p *Plumber) CheckNoPort(ctx context.Context, hostInterface string) error {
	_, err := p.apply(ctx, "check port "+hostInterface, true, func(ctx context.Context) (*plan, error) {
		return p.planNoPort(ctx, hostInterface)
	})
	return err
}

func (p *Plumber) planNoPort(ctx context.Context, name string) (*plan, error) {
	l, err := p.ourPort(name)
	if err != nil && (!errors.Is(err, ErrNotFound) || p.OVS == nil) {
		return nil, err
	}
	missing := err
	end, err := p.otherEnd(l)
	if err != nil {
		return nil, err
	}
	var was *ovs.Port
	if p.OVS != nil {
		was, err = p.OVS.Find(ctx, name)
	}
	if err != nil && missing != nil {
		return nil, missing
	}
	if err != nil && end != nil && p.ours(end, roleOVS) {
		return nil, err // else its rows would stay, without an interface
	}
	to := &plan{}
	if was != nil {
		to.steps = append(to.steps, step{"unplug", func(ctx context.Context) error {
			return gone(p.OVS.Remove(ctx, was.Name))
		}, nil})
	} else if missing != nil {
		return nil, missing
	}
	if missing == nil {
		to.then("delete", func() error { return p.remove(name) }, nil)
	}
	return to, nil
}

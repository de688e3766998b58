// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/netip"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/examples/internal/lab"
)

// device is a workload's interface, in its own namespace.
const device = "eth0"

// workload is what sits behind an endpoint: a namespace with a server in it.
type workload struct {
	*lab.Namespace
	place    place
	endpoint *endpoint.Endpoint
	server   *lab.Server
}

func newWorkload(ctx context.Context, dp *dataplane.Dataplane, t tenant, e place, mode droplet.Mode) (_ *workload, err error) {
	ns, err := lab.NewNamespace(t.name + " " + e.name)
	if err != nil {
		return nil, err
	}
	w := &workload{Namespace: ns, place: e}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	w.endpoint, err = dp.Endpoint.Create(ctx, endpoint.Config{
		VNI:       t.vni,
		Addrs:     []netip.Prefix{e.addr},
		NetNS:     endpoint.Path(ns.Path()),
		Interface: device,
		Mode:      mode,
	})
	if err != nil {
		return nil, err
	}
	w.server, err = ns.Serve(e.addr.Addr())
	return w, err
}

// close stops what runs in the namespace. The endpoint itself goes with its data-plane.
func (w *workload) close() error {
	var errs []error
	if w.server != nil {
		errs = append(errs, w.server.Close())
	}
	return errors.Join(append(errs, w.Close())...)
}

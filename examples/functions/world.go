// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/maps"
)

const (
	vni    = 7
	device = "eth0" // of a workload
)

// host is a host of the underlay, and the data-plane that runs on it.
type host struct {
	*lab.Host
	dp *dataplane.Dataplane
}

// workload is what sits behind an endpoint.
type workload struct {
	*lab.Namespace
	endpoint *endpoint.Endpoint
	v4, v6   netip.Addr
}

// scope is of what the endpoint sends, or gets, or loses.
func (w *workload) scope() dataplane.Scope { return dataplane.Scope{VNI: vni, Addr: w.v4} }

// world is everything that one run makes: a1 and a2 on host A, b1 on host B.
type world struct {
	mode       droplet.Mode
	underlay   *lab.Switch
	a, b       *host
	a1, a2, b1 *workload
}

// build makes the switch, the hosts with their data-planes, and the endpoints. Also when it fails, the world is the
// caller's to close.
func build(ctx context.Context, mode droplet.Mode) (w *world, err error) {
	w = &world{mode: mode}
	if w.underlay, err = lab.NewSwitch(mode == droplet.Native); err != nil {
		return w, err
	}
	if w.a, err = w.newHost(ctx, "A", "192.0.2.1/24"); err != nil {
		return w, err
	}
	if w.b, err = w.newHost(ctx, "B", "192.0.2.2/24"); err != nil {
		return w, err
	}
	if w.a1, err = w.newWorkload(ctx, "a1", w.a, w.b, "10.0.0.1/24", "2001:db8::1/64"); err != nil {
		return w, err
	}
	if w.a2, err = w.newWorkload(ctx, "a2", w.a, w.b, "10.0.0.2/24", "2001:db8::2/64"); err != nil {
		return w, err
	}
	if w.b1, err = w.newWorkload(ctx, "b1", w.b, w.a, "10.0.0.3/24", "2001:db8::3/64"); err != nil {
		return w, err
	}
	// The hosts find each other's MAC before anything is counted.
	_, err = w.a1.Ping(ctx, w.b1.v4, 1)
	return w, err
}

func (w *world) newHost(ctx context.Context, name, addr string) (h *host, err error) {
	at := netip.MustParsePrefix(addr)
	h = new(host)
	if h.Host, err = w.underlay.Host(name, at); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("host %s: %w", name, errors.Join(err, h.close()))
			h = nil
		}
	}()
	h.dp, err = dataplane.Open(ctx, dataplane.Config{
		Name:   instance(name),
		NetNS:  h.Path(),
		Limits: bpf.Limits{Endpoints: 1024, Directs: 16384, Paths: 16384}, // two of them in little memory
	})
	if err != nil {
		return h, err
	}
	if err := h.dp.Peer.Add(ctx, maps.Peer{Prefix: at.Masked()}); err != nil {
		return h, err
	}
	if _, err := h.dp.Droplet.Attach(ctx, droplet.Config{Interface: lab.Uplink, Mode: w.mode}); err != nil {
		return h, err
	}
	return h, h.dp.VPC.Add(ctx, maps.VPC{VNI: vni})
}

// instance names a host's data-plane so that nothing else on this machine does.
func instance(host string) string { return fmt.Sprintf("functions-%d-%s", os.Getpid(), host) }

// newWorkload makes an endpoint on one host, and tells the other where it lives.
func (w *world) newWorkload(ctx context.Context, name string, h, other *host, v4, v6 string) (_ *workload, err error) {
	addrs := []netip.Prefix{netip.MustParsePrefix(v4), netip.MustParsePrefix(v6)}
	l := &workload{v4: addrs[0].Addr(), v6: addrs[1].Addr()}
	if l.Namespace, err = lab.NewNamespace(name); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("endpoint %s: %w", name, errors.Join(err, l.Close()))
		}
	}()
	l.endpoint, err = h.dp.Endpoint.Create(ctx, endpoint.Config{
		VNI:       vni,
		Addrs:     addrs,
		NetNS:     endpoint.Path(l.Path()),
		Interface: device,
		Mode:      w.mode,
	})
	if err != nil {
		return nil, err
	}
	return l, other.dp.Endpoint.AddAll(ctx, []maps.Endpoint{
		{VNI: vni, Addr: l.v4, Host: h.Addr},
		{VNI: vni, Addr: l.v6, Host: h.Addr},
	})
}

func (h *host) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var err error
	if h.dp != nil {
		err = h.dp.Destroy(ctx)
	}
	return errors.Join(err, h.Close())
}

// close takes down what there is, even where it was told to stop: it has its own time. Functions and chains go with
// their data-planes.
func (w *world) close() (err error) {
	for _, l := range []*workload{w.a1, w.a2, w.b1} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	for _, h := range []*host{w.a, w.b} {
		if h != nil {
			err = errors.Join(err, h.close())
		}
	}
	if w.underlay != nil {
		err = errors.Join(err, w.underlay.Close())
	}
	return err
}

// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/mizar-go/mizar/internal/attach"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/maps"
)

// Create makes an endpoint on this host, all of it or nothing. Where an address is known to live on
// another host it has moved here: its row is replaced. Where it is on this host already, or an interface's
// name is taken, the error is [maps.ErrExists]; a namespace or an interface to adopt that is not there
// gives [maps.ErrNotFound], a config that makes no sense [maps.ErrInvalid], a full table [maps.ErrFull],
// an MTU that cannot be [ErrMTU], another's program on an interface to adopt [ErrBusy], a mode that the
// interface or the kernel does not have [bpf.ErrNotSupported], and a capability that is missing
// [bpf.ErrPermission].
func (m *Manager) Create(ctx context.Context, c Config) (*Endpoint, error) {
	ep, err := m.create(ctx, c)
	if err != nil {
		what := "endpoint"
		if len(c.Addrs) != 0 {
			what += " " + c.Addrs[0].Addr().String()
		}
		return nil, fmt.Errorf("create %s of VPC %d: %w", what, c.VNI, explain(err))
	}
	return ep, nil
}

// creation is an endpoint half made.
type creation struct {
	Config
	m     *Manager
	ns    *netns.Handle // of the workload
	ownNS bool          // that is the data-plane's
	keys  []maps.EndpointKey
	prior []maps.Endpoint // rows that ours replace
	saved maps.Saved      // what is recorded of the interface
	agent maps.Agent
	undo  undo
}

func (m *Manager) create(ctx context.Context, c Config) (_ *Endpoint, err error) {
	if m.programs == nil {
		return nil, invalid("no programs to attach")
	}
	if c, err = c.validate(); err != nil {
		return nil, err
	}
	b := &creation{Config: c, m: m}
	if err := b.open(); err != nil {
		return nil, err
	}
	defer b.ns.Close()
	if err := m.in(func() error { return attach.Capable(!b.ownNS) }); err != nil {
		return nil, err
	}
	if err := b.name(); err != nil {
		return nil, err
	}
	unlock, err := m.lock(ctx, b.HostInterface)
	if err != nil {
		return nil, err
	}
	defer unlock()

	for _, a := range c.addrs() {
		b.keys = append(b.keys, maps.EndpointKey{VNI: c.VNI, Addr: a})
	}
	if err := m.claim(b.keys); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			m.settle(b.keys, 0)
		}
	}()
	if err := b.displaced(); err != nil {
		return nil, err
	}
	if err := m.in(func() error { return b.run(ctx) }); err != nil {
		return nil, err
	}
	m.settle(b.keys, b.saved.Ifindex)
	return b.endpoint(), nil
}

// open gets hold of the workload's namespace.
func (b *creation) open() (err error) {
	if b.ns, err = b.NetNS.open(b.m.netns); err != nil {
		return err
	}
	own, err := NetNS{}.open(b.m.netns)
	if err == nil {
		b.ownNS, err = b.ns.Same(own)
		err = errors.Join(err, own.Close())
	}
	if err != nil {
		return errors.Join(err, b.ns.Close())
	}
	return nil
}

// displaced takes down the rows that ours will replace. One of this host that nobody told us of is not
// ours to replace.
func (b *creation) displaced() error {
	for _, k := range b.keys {
		row, err := b.m.tables.Endpoints.Get(k)
		switch {
		case errors.Is(err, maps.ErrNotFound):
		case err != nil:
			return err
		case row.Ifindex != 0:
			return fmt.Errorf("address %s: %s: %w", k.Addr, whose(row.Ifindex), maps.ErrExists)
		default:
			b.prior = append(b.prior, row)
		}
	}
	return nil
}

// run makes the changes, in the data-plane's namespace. On failure it takes back those made.
func (b *creation) run(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, b.undo.run())
		}
	}()
	if b.Adopt {
		if err := b.adopt(ctx); err != nil {
			return err
		}
		if err := b.attach(ctx); err != nil {
			return err
		}
	} else {
		if err := b.makeVeth(ctx); err != nil {
			return err
		}
		// The host's side is still down: nothing that the workload sends can get past the agent.
		if err := b.attach(ctx); err != nil {
			return err
		}
		if err := b.bringUp(ctx); err != nil {
			return err
		}
	}
	if err := b.publish(ctx); err != nil {
		return err
	}
	return b.m.step(ctx, "done")
}

// do is one step: what it did is taken back by back, should a later one fail.
func (b *creation) do(ctx context.Context, step string, f, back func() error) error {
	if err := b.m.step(ctx, step); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	if back != nil {
		b.undo.push(back)
	}
	return nil
}

// record writes down what Delete needs, before anything changes.
func (b *creation) record(ctx context.Context) error {
	return b.do(ctx, "record", func() error {
		return b.m.tables.Restore.Put(b.saved)
	}, func() error {
		return b.m.tables.Restore.Delete(b.saved.Ifindex)
	})
}

// publish writes the rows by which the endpoint is found: from here on it has traffic.
func (b *creation) publish(ctx context.Context) error {
	if err := b.m.step(ctx, "rows"); err != nil {
		return err
	}
	rows := make([]maps.Endpoint, 0, len(b.keys))
	for _, k := range b.keys {
		rows = append(rows, maps.Endpoint{
			VNI: k.VNI, Addr: k.Addr, Ifindex: b.saved.Ifindex, MAC: b.MAC, Function: b.Function, Cookie: b.Cookie,
		})
	}
	b.undo.push(func() error { // also of some of them
		return errors.Join(b.m.withdraw(b.keys, b.saved.Ifindex), b.putBack())
	})
	return b.m.tables.Endpoints.PutAll(rows)
}

func (b *creation) putBack() error {
	if len(b.prior) == 0 {
		return nil
	}
	return b.m.tables.Endpoints.PutAll(b.prior)
}

func (b *creation) endpoint() *Endpoint {
	return &Endpoint{
		VNI:           b.VNI,
		Addrs:         sorted(b.addrs()),
		Allowed:       append(b.Allowed[:0:0], b.Allowed...),
		Ifindex:       b.saved.Ifindex,
		HostInterface: b.HostInterface,
		MAC:           append(net.HardwareAddr(nil), b.MAC...),
		MTU:           b.MTU,
		Mode:          b.Mode,
		Function:      b.Function,
		Adopted:       b.Adopt,
		Cookie:        b.Cookie,
		Traffic:       b.agent.Traffic,
	}
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

func (l *locals) put(ctx context.Context, want, there *pb.LocalEndpoint) (*pb.LocalEndpoint, error) {
	if there == nil {
		return l.create(ctx, want)
	}
	switch seen, err := l.get(ctx, there); {
	case err == nil && staysAsItIs(want, there, seen):
		return l.change(ctx, want, seen)
	case err != nil && !errors.Is(err, dataplane.ErrNotFound): // a wreck may not be found by its address
		return nil, err
	}
	chains, err := l.keep(ctx, there)
	if err != nil {
		return nil, err
	}
	if err := l.remove(ctx, there); err != nil {
		return nil, err
	}
	got, err := l.create(ctx, want)
	if err == nil {
		if err = chains(ctx, got); err != nil {
			err = errors.Join(err, half(l.remove(ctx, got)))
		}
	}
	if err == nil {
		return got, nil
	}
	if !there.GetStatus().GetGone() {
		was, back := l.create(ctx, there)
		if back == nil {
			back = chains(ctx, was)
		}
		err = errors.Join(err, half(back))
	}
	return nil, err
}

// ready finds what would take an endpoint away, and then not make the new one.
func (l *locals) ready(ctx context.Context, want, there *pb.LocalEndpoint) error {
	if name := want.GetAdopt(); name != "" {
		switch is, err := l.plumber.Exists(name); {
		case err != nil: // by an alternative name it would not be found again
			return err
		case !is && there != nil:
			return fmt.Errorf("interface %s: %w", name, dataplane.ErrNotFound)
		}
	}
	if there == nil {
		return nil // Create checks, and nothing is lost
	}
	if seen, err := l.get(ctx, there); err == nil && staysAsItIs(want, there, seen) {
		return nil // as does Update
	}
	named := want
	if atBridge(want) {
		named = withHostInterface(want)
	}
	c, err := toLocal(named)
	if err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return err
	}
	if ns := want.GetNetns(); ns != "" {
		if _, err := os.Stat(filepath.Join(namespaces, ns)); err != nil {
			return fmt.Errorf("namespace %s: %w", ns, dataplane.ErrNotFound)
		}
	}
	if atBridge(want) {
		port := portOf(named)
		if named.HostInterface == there.GetStatus().GetHostInterface() { // it is taken yet: what another would find there
			port.HostInterface, port.Interface = portName(want), ""
		}
		_, err = l.plumber.CheckPort(ctx, port)
	}
	return err
}

// create takes the MAC and the name from the status where they were made up before: an endpoint that is made again
// is the same one to its neighbours. So it does with the MTU while there is no droplet that would say what is left.
func (l *locals) create(ctx context.Context, want *pb.LocalEndpoint) (got *pb.LocalEndpoint, err error) {
	asked := proto.CloneOf(want)
	if st := want.Status; st != nil {
		if asked.Mac == "" {
			asked.Mac = st.Mac
		}
		if asked.HostInterface == "" && asked.GetAdopt() == "" {
			asked.HostInterface = st.HostInterface
		}
		if asked.Mtu == 0 {
			switch known, err := l.knowsUnderlay(ctx); {
			case err != nil:
				return nil, err
			case !known:
				asked.Mtu = st.Mtu
			}
		}
	}
	if atBridge(asked) {
		asked = withHostInterface(asked)
		if err := l.plug(ctx, asked); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, half(l.unplug(ctx, asked.HostInterface)))
			}
		}()
	}
	c, err := toLocal(asked)
	if err != nil {
		return nil, err
	}
	e, err := l.dp.Endpoint.Create(ctx, c)
	if err != nil {
		return nil, err
	}
	if atBridge(asked) {
		if err := l.plumber.OpenPort(ctx, e.HostInterface); err != nil {
			return nil, errors.Join(err, half(l.dp.Endpoint.Delete(ctx, e.HostInterface)))
		}
	}
	return withStatus(want, fromLocal(e)), nil
}

// knowsUnderlay tells whether there is a droplet. After a boot the address of one may come later.
func (l *locals) knowsUnderlay(ctx context.Context) (bool, error) {
	for _, err := range l.dp.Droplet.List(ctx) {
		return err == nil, err
	}
	return false, nil
}

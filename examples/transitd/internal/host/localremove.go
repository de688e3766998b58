// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

func (l *locals) remove(ctx context.Context, there *pb.LocalEndpoint) error {
	name := there.GetStatus().GetHostInterface()
	// A foreign one may be at a port, too: nobody remembers.
	port := atBridge(there) || there.GetStatus().GetAdopted()
	if port {
		// What will not go is not to be left without its endpoint.
		if err := l.plumber.CheckNoPort(ctx, name); err != nil && !errors.Is(err, dataplane.ErrNotFound) {
			return fmt.Errorf("remove port %s: %w", name, err)
		}
		if err := l.plumber.ShutPort(ctx, name); err != nil && !errors.Is(err, dataplane.ErrNotFound) {
			return err
		}
	}
	if err := l.dp.Endpoint.Delete(ctx, name); err != nil && !errors.Is(err, dataplane.ErrNotFound) {
		return half(err)
	}
	if port {
		return half(l.unplug(ctx, name))
	}
	return nil
}

// tidy removes the port of an endpoint that is not there, unless another has it by now.
func (l *locals) tidy(ctx context.Context, asked *pb.LocalEndpoint) error {
	if !atBridge(asked) {
		return nil
	}
	name := withHostInterface(asked).HostInterface
	for e, err := range l.dp.Endpoint.Local(ctx) {
		if err != nil {
			return err
		}
		if e.HostInterface == name {
			return nil
		}
	}
	return l.unplug(ctx, name)
}

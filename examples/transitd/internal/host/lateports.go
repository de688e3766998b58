// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// withoutLatePorts has a bridge be made as far as it can while a port of it is not there: endpoints need no more, and who
// makes the port, as of a VM after a boot, may wait for the bridge. The step fails all the same, and is tried again.
func (h *Host) withoutLatePorts(p *plan) {
	for i, s := range p.steps {
		want, ok := s.what.put.(*pb.Bridge)
		if !ok {
			continue
		}
		k, there := s.what.k, p.found[pb.Kind_KIND_BRIDGE][s.key()]
		p.steps[i].do = func(ctx context.Context) error {
			err := s.do(ctx)
			if !errors.Is(err, dataplane.ErrNotFound) {
				return err
			}
			less := proto.CloneOf(want)
			less.Ports = nil
			for _, port := range want.Ports {
				if is, look := h.plumber.Exists(port); look == nil && is {
					less.Ports = append(less.Ports, port)
				}
			}
			if _, rest := k.write(ctx, less, there); rest != nil {
				err = errors.Join(err, rest)
			}
			return err
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

// Destroy takes down what a daemon made on a host, the data-plane with all that is in it, whoever asked for it, and
// forgets what was asked for. While a daemon has the host open it is [dataplane.ErrLocked]. Where something cannot be
// removed it goes on with the rest, tells all of it, and can be called again.
func Destroy(ctx context.Context, o Options) error {
	h, _, err := open(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(h.takeDown(ctx), h.close())
}

func (h *Host) takeDown(ctx context.Context) error {
	g := &goal{
		kinds: h.everyKind(), want: make(map[pb.Kind]map[string]proto.Message),
		asked:        func(n name) proto.Message { return h.askedFor(n.kind, n.key) },
		removes:      func(name) bool { return true },
		removesPlace: func(maps.EndpointKey) bool { return true },
	}
	p, err := h.compare(ctx, g)
	if err != nil {
		return err
	}
	var failed []error
	if err := h.run(ctx, p, func(_ step, err error) { failed = append(failed, err) }); err != nil {
		return err
	}
	h.remember(p.change)
	if err := errors.Join(append(failed, h.sweepPorts(ctx))...); err != nil {
		return err // with the data-plane, what is left would be known no more
	}
	if err := h.dp.Destroy(ctx); err != nil {
		return err
	}
	return h.journal.Remove()
}

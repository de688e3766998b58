// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"maps"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
)

// sweepPorts removes ports of endpoints that nobody asks for: the daemon died between the two. Those that it cannot
// remove now, heal tries again.
func (h *Host) sweepPorts(ctx context.Context) error {
	all, err := h.plumber.Ports(ctx)
	if err != nil {
		return fmt.Errorf("list ports: %w", err)
	}
	asked := make(map[string]bool)
	for _, m := range h.asked[pb.Kind_KIND_LOCAL_ENDPOINT] {
		if e := m.(*pb.LocalEndpoint); atBridge(e) {
			asked[withHostInterface(e).HostInterface] = true
		}
	}
	for e, err := range h.dp.Endpoint.Local(ctx) { // a foreign endpoint keeps its port
		if err != nil {
			return err
		}
		asked[e.HostInterface] = true
	}
	left := make(map[string]string)
	if len(h.strays) > 0 {
		if _, err := h.ovs.Ports(ctx); errors.Is(err, ovs.ErrUnavailable) { // which may have them still
			maps.Copy(left, h.strays)
		}
	}
	for _, p := range all {
		if asked[p.HostInterface] {
			continue
		}
		err := h.plumber.RemovePort(ctx, p.HostInterface)
		if err != nil {
			left[p.HostInterface] = err.Error()
		}
		if err == nil || err.Error() != h.strays[p.HostInterface] {
			h.repaired(&pb.PlanStep{
				Action: pb.Action_ACTION_REMOVE, Kind: pb.Kind_KIND_LOCAL_ENDPOINT, Key: p.HostInterface, Detail: "a port without an endpoint",
			}, err)
		}
	}
	h.strays = left
	return nil
}

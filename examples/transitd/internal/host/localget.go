// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

func (l *locals) get(ctx context.Context, e *pb.LocalEndpoint) (*pb.LocalEndpoint, error) {
	key := localKey(e)
	if name := e.GetStatus().GetHostInterface(); len(e.Addresses) == 0 && name != "" { // a wreck without rows
		for got, err := range l.dp.Endpoint.Local(ctx) {
			if err != nil {
				return nil, err
			}
			if m := fromLocal(got); got.HostInterface == name && localKey(m) == key {
				return m, nil
			}
		}
		return nil, dataplane.ErrNotFound
	}
	// One look tells that it is not there, which saves describing all that are.
	row, err := l.dp.Endpoint.Get(ctx, maps.EndpointKey{VNI: e.Vni, Addr: lowest(localAddrs(e))})
	if err != nil {
		return nil, err
	}
	if row.Ifindex == 0 {
		return nil, fmt.Errorf("it lives on host %v: %w", row.Host, dataplane.ErrNotFound)
	}
	for got, err := range l.dp.Endpoint.Local(ctx) {
		if err != nil {
			return nil, err
		}
		if m := fromLocal(got); got.Ifindex == row.Ifindex && localKey(m) == key {
			return m, nil
		}
	}
	return nil, fmt.Errorf("another endpoint has the address: %w", dataplane.ErrNotFound)
}

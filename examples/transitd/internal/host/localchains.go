// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// keep remembers the chains of an endpoint, which go with it: one that is made anew has them again.
func (l *locals) keep(ctx context.Context, there *pb.LocalEndpoint) (func(context.Context, *pb.LocalEndpoint) error, error) {
	var chains []dataplane.Chain
	for c, err := range l.dp.Stage.List(ctx) {
		if err != nil {
			return nil, err
		}
		if c.Ifindex != 0 && c.Ifindex == int(there.GetStatus().GetIfindex()) {
			chains = append(chains, c)
		}
	}
	return func(ctx context.Context, now *pb.LocalEndpoint) error {
		for _, c := range chains {
			scope := dataplane.Scope{VNI: now.Vni, Addr: lowest(localAddrs(now))}
			if err := l.dp.Stage.Set(ctx, c.Stage, scope, c.Functions...); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

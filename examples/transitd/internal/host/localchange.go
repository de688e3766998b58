// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"

	"github.com/mizar-go/mizar/endpoint"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// differsInRows tells whether an endpoint differs from what is wanted, if at all, only in what it may send from and in
// its cookie: rows, which change while it has traffic.
func differsInRows(want, there *pb.LocalEndpoint) bool {
	return equal(withRowsOf(want, there), there)
}

// staysAsItIs tells whether an endpoint, its interface and its workload stay as they are: it is whole, and differs in
// rows at most, or in its port at a bridge.
func staysAsItIs(want, there, seen *pb.LocalEndpoint) bool {
	st := seen.GetStatus()
	return !st.GetGone() && !st.GetPartial() && differsInRows(want, there) && localFits(withRowsOf(want, seen), seen)
}

func withRowsOf(want, of *pb.LocalEndpoint) *pb.LocalEndpoint {
	m := bare(want)
	m.Allowed, m.Cookie = of.GetAllowed(), of.GetCookie()
	return m
}

// change makes of an endpoint that stays what is wanted: what it may send from, its cookie, and its port.
func (l *locals) change(ctx context.Context, want, there *pb.LocalEndpoint) (*pb.LocalEndpoint, error) {
	named := withHostInterface(there)
	if atBridge(there) {
		if err := l.plug(ctx, named); err != nil {
			return nil, err
		}
		if err := l.plumber.OpenPort(ctx, named.HostInterface); err != nil {
			return nil, err
		}
	}
	c, err := toLocal(want)
	if err != nil {
		return nil, err
	}
	name := there.GetStatus().GetHostInterface()
	if name == "" {
		return nil, fmt.Errorf("endpoint %s: its interface is not known", localKey(there))
	}
	if _, err := l.dp.Endpoint.Update(ctx, name, endpoint.Change{Allowed: c.Allowed, Cookie: c.Cookie}); err != nil {
		return nil, err
	}
	return withStatus(want, there), nil
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"

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
func (l *locals) change(ctx context.Context, want, seen *pb.LocalEndpoint) (*pb.LocalEndpoint, error) {
	c, err := toLocal(want)
	if err != nil {
		return nil, err
	}
	got := withStatus(want, seen)
	if atBridge(got) {
		named := withHostInterface(got)
		if err := l.plug(ctx, named); err != nil {
			return nil, err
		}
		if err := l.plumber.OpenPort(ctx, named.HostInterface); err != nil {
			return nil, err
		}
	}
	_, err = l.dp.Endpoint.Update(ctx, seen.Status.HostInterface, endpoint.Change{Allowed: c.Allowed, Cookie: c.Cookie})
	return got, err
}

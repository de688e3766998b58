// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
	"github.com/mizar-go/mizar/examples/transitd/internal/plumb"
)

// An endpoint at a bridge is a port there, whose other end the library adopts. The port is shut until it has an agent,
// and before it has none any more.

func atBridge(e *pb.LocalEndpoint) bool { return e.GetBridge() != nil || e.GetOvs() != nil }

// portOf is the port of an endpoint whose host interface is known.
func portOf(e *pb.LocalEndpoint) plumb.Port {
	p := plumb.Port{HostInterface: e.HostInterface, Interface: e.Interface, Bridge: e.GetBridge().GetBridge()}
	if o := e.GetOvs(); o != nil {
		p.OVS = &plumb.OVSPort{Bridge: o.Bridge, Tag: uint16(o.Tag), Workload: o.WorkloadPort}
	}
	return p
}

// portName is made of what an endpoint is, so that one that was cut short is found again.
func portName(e *pb.LocalEndpoint) string { return "mzb" + etag(sum(bare(e)))[:10] }

// plug makes the port. What has to be undone if the endpoint fails, unplug does.
func (l *locals) plug(ctx context.Context, e *pb.LocalEndpoint) error {
	if e.GetOvs() != nil {
		if why := l.away.still(); why != "" {
			return fmt.Errorf("add port %s: %w: %s", e.HostInterface, ovs.ErrUnavailable, why)
		}
	}
	began := time.Now()
	_, err := l.plumber.AddPort(ctx, portOf(e))
	if errors.Is(err, ovs.ErrUnavailable) {
		l.away.since(began, err.Error())
	}
	if errors.Is(err, plumb.ErrNotUndone) {
		return half(err)
	}
	return err
}

func (l *locals) unplug(ctx context.Context, hostInterface string) error {
	if err := l.plumber.RemovePort(ctx, hostInterface); err != nil && !errors.Is(err, dataplane.ErrNotFound) {
		return err
	}
	return nil
}

// unplugged says what is wrong with the port of an endpoint that is otherwise whole.
func (l *locals) unplugged(ctx context.Context, e *pb.LocalEndpoint) string {
	if !atBridge(e) || !e.GetStatus().GetAdopted() { // it is elsewhere, and so does not fit
		return ""
	}
	if e.GetOvs() != nil {
		if why := l.away.still(); why != "" {
			return why
		}
	}
	named, began := withHostInterface(e), time.Now()
	switch outcome, err := l.plumber.CheckPort(ctx, portOf(named)); {
	case errors.Is(err, ovs.ErrUnavailable):
		return l.away.since(began, "its port: "+err.Error())
	case err != nil:
		return "its port: " + err.Error()
	case outcome != plumb.Unchanged:
		return "its port at the bridge is not whole"
	}
	if up, err := l.plumber.PortIsUp(named.HostInterface); err != nil || !up {
		return "its port is down"
	}
	return ""
}

// away remembers for a moment that Open vSwitch does not answer: who looks at many endpoints waits for it once. One that
// does not run is waited for by nobody, and not remembered: it may be there again.
type away struct {
	mu    sync.Mutex
	until time.Time
	why   string
}

// awayFor is longer than looking at all endpoints takes, and shorter than anybody notices.
const awayFor = 5 * time.Second

// awayWait is what waiting takes at least.
const awayWait = 200 * time.Millisecond

func (a *away) still() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Now().Before(a.until) {
		return a.why
	}
	return ""
}

func (a *away) since(began time.Time, why string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(began) > awayWait {
		a.until, a.why = time.Now().Add(awayFor), why
	}
	return why
}

// withHostInterface has the name that was made up, where none was asked for.
func withHostInterface(e *pb.LocalEndpoint) *pb.LocalEndpoint {
	e = proto.CloneOf(e)
	if st := e.Status; st != nil && st.HostInterface != "" {
		e.HostInterface = st.HostInterface
	}
	if e.HostInterface == "" {
		e.HostInterface = portName(e)
	}
	return e
}

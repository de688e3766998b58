// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/endpoint"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/plumb"
	"github.com/mizar-go/mizar/maps"
)

// namespaces is where clients' names of network namespaces are looked up. Nothing else of the file system is theirs.
const namespaces = "/run/netns"

// locals are the workloads of this host.
type locals struct {
	dp      *dataplane.Dataplane
	plumber *plumb.Plumber
	away    away
}

func localEndpoints(dp *dataplane.Dataplane, p *plumb.Plumber) kind {
	l := &locals{dp: dp, plumber: p}
	return &spec[*pb.LocalEndpoint]{
		kind:  pb.Kind_KIND_LOCAL_ENDPOINT,
		key:   localKey,
		check: func(e *pb.LocalEndpoint) error { _, err := toLocal(e); return err },
		get:   l.get,
		list: func(ctx context.Context) iter.Seq2[*pb.LocalEndpoint, error] {
			return mapped(dp.Endpoint.Local(ctx), fromLocal)
		},
		put:    l.put,
		remove: l.remove,
		keep:   l.keep,
		fits:   func(_ context.Context, want, have *pb.LocalEndpoint) bool { return localFits(want, have) },
		hidden: true, // namespace, routes, prefix lengths
		broken: func(e *pb.LocalEndpoint) string { return wreck(e.Status.GetGone(), e.Status.GetPartial()) },
		lacks:  l.unplugged,
		lend:   lend,
		tidy:   l.tidy,
		ready:  l.ready,
		gap:    func(_, _ *pb.LocalEndpoint) bool { return true },
		of:     func(s *pb.State) *[]*pb.LocalEndpoint { return &s.LocalEndpoints },
		phase:  func(*pb.LocalEndpoint) int { return phaseLocalEndpoint },
	}
}

// localKey is of the lowest address: what the kernel tells has no order.
func localKey(e *pb.LocalEndpoint) string {
	return pathKey(e.GetVni(), text(lowest(localAddrs(e))))
}

func lowest(addrs []netip.Addr) netip.Addr {
	if len(addrs) == 0 {
		return netip.Addr{}
	}
	return slices.MinFunc(addrs, netip.Addr.Compare)
}

// localAddrs are the addresses without their networks.
func localAddrs(e *pb.LocalEndpoint) []netip.Addr {
	var all []netip.Addr
	for _, text := range e.GetAddresses() {
		if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, p.Addr())
		}
	}
	return all
}

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

func (l *locals) put(ctx context.Context, want, there *pb.LocalEndpoint) (*pb.LocalEndpoint, error) {
	if there == nil {
		return l.create(ctx, want)
	}
	if st := there.GetStatus(); atBridge(there) && !st.GetGone() && !st.GetPartial() && equal(want, there) {
		named := withHostInterface(there) // only its port needs mending, which may leave the endpoint alone
		if err := l.plug(ctx, named); err != nil {
			return nil, err
		}
		return there, l.plumber.OpenPort(ctx, named.HostInterface)
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
			err = errors.Join(err, l.remove(ctx, got))
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
		err = errors.Join(err, back)
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
	if atBridge(want) && named.HostInterface != there.GetStatus().GetHostInterface() {
		_, err = l.plumber.CheckPort(ctx, portOf(named))
	}
	return err
}

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
				err = errors.Join(err, l.unplug(ctx, asked.HostInterface))
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
			return nil, errors.Join(err, l.dp.Endpoint.Delete(ctx, e.HostInterface))
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
		return err
	}
	if port {
		return l.unplug(ctx, name)
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

// lend: the kernel tells neither the networks of addresses nor anything of the workload's side.
func lend(foreign, want *pb.LocalEndpoint) *pb.LocalEndpoint {
	m := proto.CloneOf(foreign)
	if !m.GetStatus().GetAdopted() {
		m.Place, m.Interface, m.Routes, m.NoRoutes = want.Place, want.Interface, want.Routes, want.NoRoutes
	}
	for i, a := range m.Addresses {
		for _, w := range want.Addresses {
			p, q := netip.MustParsePrefix(a), netip.MustParsePrefix(w) // both were checked
			if p.Addr() == q.Addr() {
				m.Addresses[i] = w
			}
		}
	}
	return m
}

// localFits compares what the kernel tells; what was left open fits.
func localFits(want, have *pb.LocalEndpoint) bool {
	st := have.Status
	given := func(asked, is string) bool { return asked == "" || asked == is }
	name := want.HostInterface
	if want.GetAdopt() != "" {
		name = want.GetAdopt()
	}
	return want.Vni == have.Vni && want.Cookie == have.Cookie && want.Function == have.Function &&
		slices.Equal(sortedAddrs(want), sortedAddrs(have)) && slices.Equal(want.Allowed, have.Allowed) &&
		given(name, st.GetHostInterface()) && given(want.Mac, st.GetMac()) &&
		(want.Mtu == 0 || want.Mtu == st.GetMtu()) &&
		(want.Mode == pb.Mode_MODE_UNSPECIFIED || want.Mode == st.GetMode()) &&
		(want.GetAdopt() != "" || atBridge(want)) == st.GetAdopted()
}

func sortedAddrs(e *pb.LocalEndpoint) []netip.Addr {
	all := localAddrs(e)
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

func toLocal(e *pb.LocalEndpoint) (endpoint.Config, error) {
	var r reader
	r.vni("vni", e.Vni)
	c := endpoint.Config{
		VNI: e.Vni, Interface: e.Interface, HostInterface: e.HostInterface, MAC: r.mac("mac", &e.Mac), MTU: int(e.Mtu),
		Function: e.Function, Mode: r.mode("mode", e.Mode, false), Cookie: e.Cookie,
	}
	if e.Mtu > 65535 {
		r.fail(wrong("mtu", "%d bytes are more than 65535", e.Mtu))
	}
	if len(e.Addresses) == 0 {
		r.fail(wrong("addresses", "an endpoint has one at least"))
	}
	for i := range e.Addresses {
		c.Addrs = append(c.Addrs, r.interfacePrefix(fmt.Sprintf("addresses[%d]", i), &e.Addresses[i]))
	}
	for i := range e.Allowed {
		c.Allowed = append(c.Allowed, r.masked(fmt.Sprintf("allowed[%d]", i), &e.Allowed[i]))
	}
	slices.SortFunc(c.Allowed, netip.Prefix.Compare)
	for i := 1; i < len(c.Allowed); i++ {
		if c.Allowed[i] == c.Allowed[i-1] {
			r.fail(wrong("allowed", "%s is there twice", c.Allowed[i]))
		}
	}
	if allowed := texts(c.Allowed); !slices.Equal(allowed, e.Allowed) {
		e.Allowed = allowed
	}
	if e.Interface != "" {
		r.ifname("interface", e.Interface)
	}
	if e.HostInterface != "" {
		r.ifname("host_interface", e.HostInterface)
	}
	r.routes(e, &c)
	r.place(e, &c)
	return c, r.err
}

func (r *reader) routes(e *pb.LocalEndpoint, c *endpoint.Config) {
	for i, route := range e.Routes {
		f := fmt.Sprintf("routes[%d]", i)
		if route == nil {
			r.fail(wrong(f, "it is not given"))
			continue
		}
		c.Routes = append(c.Routes, endpoint.Route{Dst: r.masked(f+".destination", &route.Destination), Via: r.optional(f+".via", &route.Via)})
	}
	if e.NoRoutes {
		if len(e.Routes) > 0 {
			r.fail(wrong("no_routes", "there are routes"))
		}
		c.Routes = []endpoint.Route{}
	}
}

// place says where the workload's side goes.
func (r *reader) place(e *pb.LocalEndpoint, c *endpoint.Config) {
	adopted := ""
	switch p := e.Place.(type) {
	case *pb.LocalEndpoint_Netns:
		r.file("netns", p.Netns)
		c.NetNS = endpoint.Path(filepath.Join(namespaces, p.Netns))
	case *pb.LocalEndpoint_Adopt:
		r.ifname("adopt", p.Adopt)
		c.Adopt, c.HostInterface, adopted = true, p.Adopt, "adopt"
		if e.HostInterface != "" && e.HostInterface != p.Adopt {
			r.fail(wrong("host_interface", "it is what is adopted"))
		}
	case *pb.LocalEndpoint_Bridge:
		r.ifname("bridge.bridge", p.Bridge.GetBridge())
		c.Adopt, adopted = true, "bridge"
	case *pb.LocalEndpoint_Ovs:
		r.ifname("ovs.bridge", p.Ovs.GetBridge())
		if p.Ovs.GetTag() > 4094 {
			r.fail(wrong("ovs.tag", "%d is no VLAN: 1 to 4094", p.Ovs.GetTag()))
		}
		if w := p.Ovs.GetWorkloadPort(); w != "" {
			r.ifname("ovs.workload_port", w)
		}
		c.Adopt, adopted = true, "ovs"
	}
	if adopted == "" {
		return
	}
	if len(e.Routes) > 0 || e.NoRoutes {
		r.fail(wrong("routes", "the workload's interface is its maker's, and so are its routes"))
	}
	c.Interface, c.Routes = "", nil
	if adopted == "bridge" || adopted == "ovs" {
		if e.Mac == "" {
			r.fail(wrong("mac", "of a workload behind a bridge it has to be given"))
		}
	}
}

// fromLocal knows the addresses' networks no more, and nothing of the workload's namespace.
func fromLocal(e *endpoint.Endpoint) *pb.LocalEndpoint {
	m := &pb.LocalEndpoint{
		Vni: e.VNI, HostInterface: e.HostInterface, Mac: e.MAC.String(), Mtu: uint32(e.MTU), Function: e.Function,
		Mode: fromMode(e.Mode), Cookie: e.Cookie,
		Status: &pb.LocalEndpointStatus{
			HostInterface: e.HostInterface, Ifindex: uint32(e.Ifindex), Mac: e.MAC.String(), Mtu: uint32(e.MTU),
			Mode: fromMode(e.Mode), Adopted: e.Adopted, Gone: e.Gone, Partial: e.Partial,
		},
	}
	for _, a := range e.Addrs {
		m.Addresses = append(m.Addresses, netip.PrefixFrom(a, a.BitLen()).String())
	}
	slices.SortFunc(e.Allowed, netip.Prefix.Compare)
	m.Allowed = texts(e.Allowed)
	if e.Adopted {
		m.Place = &pb.LocalEndpoint_Adopt{Adopt: e.HostInterface}
		m.HostInterface = ""
	}
	return m
}

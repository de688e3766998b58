// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/endpoint"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

// trace walks the tables as the programs do: bpf/lib/agent.h and transit.h have the order.
type trace struct {
	h    *Host
	ctx  context.Context
	vni  uint32
	own  map[netip.Addr]bool // addresses of droplets
	gave *pb.TracePacketResponse
	// forwards: it came by a tunnel, and goes on by one.
	forwards bool
}

// Trace tells what becomes of a packet, by the tables as they are now. Functions are named, not run.
func (h *Host) Trace(ctx context.Context, r *pb.TracePacketRequest) (*pb.TracePacketResponse, error) {
	var read reader
	read.vni("vni", r.Vni)
	source, destination, from := r.Source, r.Destination, r.From
	src, dst := read.addr("source", &source), read.addr("destination", &destination)
	host := read.optional("from", &from)
	if read.err == nil && src.Is4() != dst.Is4() {
		read.fail(wrong("destination", "%s and %s are not of one family", src, dst))
	}
	if read.err != nil {
		return nil, &Error{Field: fieldOf(read.err), Err: read.err}
	}
	t := &trace{h: h, ctx: ctx, vni: r.Vni, own: make(map[netip.Addr]bool), gave: &pb.TracePacketResponse{}}
	for d, err := range h.dp.Droplet.List(ctx) {
		if err != nil {
			return nil, err
		}
		for _, a := range d.Addrs {
			t.own[a] = true
		}
	}
	var err error
	if host.IsValid() {
		err = t.arrives(src, dst, host)
	} else {
		err = t.sent(src, dst)
	}
	return t.gave, err
}

func (t *trace) step(table, key, found, format string, args ...any) {
	t.gave.Steps = append(t.gave.Steps, &pb.TraceStep{Table: table, Key: key, Found: found, Says: fmt.Sprintf(format, args...)})
}

func (t *trace) end(verdict bpf.Reason, targets ...string) error {
	t.gave.Verdict, t.gave.Targets = verdict.String(), targets
	return nil
}

// send is the end of what leaves for one of some hosts. What drops before that, no function of the stage sees.
func (t *trace) send(verdict bpf.Reason, hosts ...netip.Addr) error {
	if t.forwards {
		if err := t.chain(dataplane.StageForward, netip.Addr{}); err != nil {
			return err
		}
	}
	return t.end(verdict, texts(hosts)...)
}

// endpoint looks an address up; nil: nothing is there.
func (t *trace) endpoint(a netip.Addr) (*maps.Endpoint, error) {
	key := maps.EndpointKey{VNI: t.vni, Addr: a}
	row, err := t.h.dp.Endpoint.Get(t.ctx, key)
	switch {
	case errors.Is(err, dataplane.ErrNotFound):
		t.step("endpoints", key.String(), "", "the tables do not say where it lives")
		return nil, nil
	case err != nil:
		return nil, err
	case row.Host.IsValid():
		t.step("endpoints", key.String(), "host "+row.Host.String(), "it lives on another host")
	default:
		e, err := t.local(row.Ifindex)
		if err != nil {
			return nil, err
		}
		found := fmt.Sprintf("interface %d", row.Ifindex)
		if e != nil {
			found = "interface " + e.HostInterface
		}
		t.step("endpoints", key.String(), found, "it lives here")
	}
	return &row, nil
}

// local finds the workload behind an interface; nil: there is none.
func (t *trace) local(ifindex int) (*endpoint.Endpoint, error) {
	for e, err := range t.h.dp.Endpoint.Local(t.ctx) {
		if err != nil || e.Ifindex == ifindex {
			return e, err
		}
	}
	return nil, nil
}

// network looks up the longest prefix.
func (t *trace) network(a netip.Addr) (*maps.Network, error) {
	var best *maps.Network
	for n, err := range t.h.dp.Network.List(t.ctx) {
		if err != nil {
			return nil, err
		}
		if n.VNI == t.vni && covers(n.Prefix, a) && (best == nil || bits(n.Prefix) > bits(best.Prefix)) {
			best = &n
		}
	}
	key := pathKey(t.vni, a.String())
	switch {
	case best == nil:
		t.step("networks", key, "", "no network of the VPC has it")
	case best.Blackhole:
		t.step("networks", key, best.Prefix.String(), "a black hole")
	case best.Via.IsValid():
		t.step("networks", key, best.Prefix.String(), "it is behind the endpoint %s", best.Via)
	default:
		t.step("networks", key, best.Prefix.String(), "its bouncers know: %s", join(best.Bouncers))
	}
	return best, nil
}

// covers takes IPv4 to be ::ffff:0:0/96, as the table does.
func covers(p netip.Prefix, a netip.Addr) bool {
	return p.Contains(a) || p.Addr().Is6() && p.Contains(netip.AddrFrom16(a.As16()))
}

func bits(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 96 + p.Bits()
	}
	return p.Bits()
}

func join(all []netip.Addr) string { return strings.Join(texts(all), ", ") }

// chain names the functions that a packet runs through.
func (t *trace) chain(stage dataplane.Stage, local netip.Addr) error {
	scopes := []dataplane.Scope{{}, {VNI: t.vni}}
	if local.IsValid() {
		scopes = append(scopes, dataplane.Scope{VNI: t.vni, Addr: local})
	}
	for _, s := range scopes {
		c, err := t.h.dp.Stage.Get(t.ctx, stage, s)
		if errors.Is(err, dataplane.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if len(c.Functions) > 0 {
			t.step("stages", fmt.Sprintf("%v of %v", stage, s), strings.Join(c.Functions, ", "), "it runs through these, which may drop it")
		}
	}
	return nil
}

// direct looks for a learned host.
func (t *trace) direct(a netip.Addr) (netip.Addr, error) {
	view, err := dataplane.InspectAt(t.h.options.Dataplane.BPFFS, t.h.dp.Name())
	if err != nil {
		return netip.Addr{}, err
	}
	defer view.Close()
	key := maps.EndpointKey{VNI: t.vni, Addr: a}
	for d, err := range view.Directs(t.ctx) {
		if err != nil {
			return netip.Addr{}, err
		}
		if d.VNI == t.vni && d.Addr == a {
			t.step("directs", key.String(), "host "+d.Host.String(), "packets came straight from there %s ago", d.Idle.Round(time.Millisecond))
			return d.Host, nil
		}
	}
	t.step("directs", key.String(), "", "nothing was learned")
	return netip.Addr{}, nil
}

// sent is what an endpoint of this host sends.
func (t *trace) sent(src, dst netip.Addr) error {
	if why, is := senseless(src, dst); is {
		t.step("", fmt.Sprintf("%s to %s", src, dst), "", "no packet is carried between such addresses")
		return t.end(why)
	}
	sender := src // whose chains it runs through
	from, err := t.endpoint(src)
	if err != nil {
		return err
	}
	if from == nil || from.Ifindex == 0 {
		sender, err = t.allowed(src)
		if err != nil || !sender.IsValid() {
			return errors.Join(err, t.end(bpf.TableReasonDROP_SPOOF_ADDRESS))
		}
	}
	if err := t.chain(dataplane.StageSend, sender); err != nil {
		return err
	}
	to, err := t.endpoint(dst)
	if err != nil {
		return err
	}
	var net *maps.Network
	if to == nil {
		learned, err := t.direct(dst)
		if err != nil || learned.IsValid() {
			return errors.Join(err, t.end(bpf.TableReasonREASON_SEND_DIRECT, learned.String()))
		}
		if net, to, err = t.route(dst); err != nil {
			return err
		}
		if to == nil && net != nil && net.Via.IsValid() {
			learned, err := t.direct(net.Via)
			if err != nil || learned.IsValid() {
				return errors.Join(err, t.end(bpf.TableReasonREASON_SEND_DIRECT, learned.String()))
			}
		}
	}
	switch {
	case to != nil && to.Ifindex != 0:
		return t.deliver(to, bpf.TableReasonREASON_DELIVER_LOCAL)
	case to != nil:
		return t.end(bpf.TableReasonREASON_SEND_DIRECT, to.Host.String())
	case net == nil:
		own, err := t.network(src)
		if err != nil {
			return err
		}
		if own != nil && len(own.Bouncers) > 0 && !t.here(own.Bouncers) {
			t.step("networks", "", own.Prefix.String(), "a bouncer of the sender's own network may know more")
			return t.end(bpf.TableReasonREASON_SEND_BOUNCER, texts(own.Bouncers)...)
		}
	}
	return t.relay(net, bpf.TableReasonREASON_SEND_BOUNCER, bpf.TableReasonREASON_SEND_DIVIDER)
}

// allowed finds an address of the workload here that may send from one that is not its own. Zero: none may.
func (t *trace) allowed(src netip.Addr) (netip.Addr, error) {
	for e, err := range t.h.dp.Endpoint.Local(t.ctx) {
		if err != nil {
			return netip.Addr{}, err
		}
		for _, p := range e.Allowed {
			if e.VNI == t.vni && len(e.Addrs) > 0 && covers(p, src) {
				t.step("allowed", src.String(), p.String(), "endpoint %s may send from there", e.HostInterface)
				return e.Addrs[0], nil
			}
		}
	}
	t.step("allowed", src.String(), "", "no endpoint here may send from there")
	return netip.Addr{}, nil
}

// arrives is what comes by a tunnel.
func (t *trace) arrives(src, dst, from netip.Addr) error {
	known := false
	for p, err := range t.h.dp.Peer.List(t.ctx) {
		if err != nil {
			return err
		}
		if p.Prefix.Contains(from) {
			t.step("peers", from.String(), p.Prefix.String(), "it may send tunnel packets")
			known = true
			break
		}
	}
	if !known {
		t.step("peers", from.String(), "", "it is no peer")
		return t.end(bpf.TableReasonDROP_PEER)
	}
	if t.own[from] {
		t.step("droplets", from.String(), "ours", "nobody else sends from an address of this host")
		return t.end(bpf.TableReasonDROP_OUTER_SOURCE)
	}
	if why, is := senseless(src, dst); is {
		t.step("", fmt.Sprintf("%s to %s", src, dst), "", "no packet is carried between such addresses")
		return t.end(why)
	}
	if err := t.chain(dataplane.StageParse, netip.Addr{}); err != nil {
		return err
	}
	to, err := t.endpoint(dst)
	if err != nil {
		return err
	}
	var net *maps.Network
	if to == nil {
		if net, to, err = t.route(dst); err != nil {
			return err
		}
	}
	if to != nil && to.Ifindex != 0 {
		sender, err := t.endpoint(src)
		if err != nil {
			return err
		}
		if sender != nil && (sender.Ifindex != 0 || sender.Host != from) {
			t.step("endpoints", pathKey(t.vni, src.String()), "", "unless it came by a bouncer or divider, that is not the sender's host")
		}
		return t.deliver(to, bpf.TableReasonREASON_DELIVER)
	}
	t.forwards = true
	switch {
	case to != nil && to.Host == from:
		return t.send(bpf.TableReasonDROP_LOOP)
	case to != nil:
		return t.send(bpf.TableReasonREASON_BOUNCE, to.Host)
	}
	t.step("", "", "", "one that came straight from %s, without return-to-sender, goes back there once", from)
	return t.relay(net, bpf.TableReasonREASON_DIVIDE_NETWORK, bpf.TableReasonREASON_DIVIDE_VPC)
}

// route finds the endpoint that a network is behind.
func (t *trace) route(dst netip.Addr) (*maps.Network, *maps.Endpoint, error) {
	net, err := t.network(dst)
	if err != nil || net == nil || !net.Via.IsValid() {
		return net, nil, err
	}
	to, err := t.endpoint(net.Via)
	return net, to, err
}

func (t *trace) deliver(to *maps.Endpoint, verdict bpf.Reason) error {
	if err := t.chain(dataplane.StageDeliver, to.Addr); err != nil {
		return err
	}
	e, err := t.local(to.Ifindex)
	if err != nil {
		return err
	}
	if e == nil {
		return t.end(verdict, fmt.Sprintf("interface %d", to.Ifindex))
	}
	if e.Gone || e.Partial {
		t.step("agents", e.HostInterface, "", "%s", wreck(e.Gone, e.Partial))
	}
	return t.end(verdict, e.HostInterface)
}

// relay goes to who knows more: bouncers of the network, else dividers of the VPC.
func (t *trace) relay(net *maps.Network, bounce, divide bpf.Reason) error {
	if net != nil && net.Via.IsValid() {
		var err error
		if net, err = t.network(net.Via); err != nil {
			return err
		}
		if net != nil && net.Via.IsValid() {
			return t.end(bpf.TableReasonDROP_NO_ENDPOINT)
		}
	}
	switch {
	case net != nil && net.Blackhole:
		return t.end(bpf.TableReasonDROP_BLACKHOLE)
	case net != nil && t.here(net.Bouncers):
		t.step("droplets", join(net.Bouncers), "ours", "this host is its bouncer, and asks nobody")
		return t.end(bpf.TableReasonDROP_NO_ENDPOINT)
	case net != nil:
		return t.send(bounce, net.Bouncers...)
	}
	key := fmt.Sprint(t.vni)
	v, err := t.h.dp.VPC.Get(t.ctx, t.vni)
	switch {
	case errors.Is(err, dataplane.ErrNotFound):
		t.step("vpcs", key, "", "no such VPC")
		return t.end(bpf.TableReasonDROP_NO_VPC)
	case err != nil:
		return err
	case len(v.Dividers) == 0:
		t.step("vpcs", key, "no dividers", "only what is known here is reached")
		return t.end(bpf.TableReasonDROP_NO_NETWORK)
	case t.here(v.Dividers):
		t.step("vpcs", key, join(v.Dividers), "this host is its divider, and asks nobody")
		return t.end(bpf.TableReasonDROP_NO_NETWORK)
	}
	t.step("vpcs", key, join(v.Dividers), "its dividers know the networks")
	return t.send(divide, v.Dividers...)
}

// here tells whether one of the hosts is this one.
func (t *trace) here(hosts []netip.Addr) bool {
	return slices.ContainsFunc(hosts, func(a netip.Addr) bool { return t.own[a] })
}

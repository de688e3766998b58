// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

// trace walks the tables as the programs do: bpf/lib/agent.h and transit.h have the order. TestTraceAsPrograms compares
// it with them. It knows neither routes nor sizes, as docs/transitd.md says.
type trace struct {
	h    *Host
	ctx  context.Context
	vni  uint32
	own  map[netip.Addr]bool // addresses of droplets
	gave *pb.TracePacketResponse
	// from is the host that it came from by a tunnel. Invalid: an endpoint here sends it.
	from netip.Addr
	// sender is the interface of the endpoint that sends it. Zero: it came by a tunnel.
	sender int
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
	t := &trace{h: h, ctx: ctx, vni: r.Vni, own: make(map[netip.Addr]bool), gave: &pb.TracePacketResponse{}, from: host}
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
		err = t.arrives(src, dst)
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

// senseless ends what no packet may be between.
func (t *trace) senseless(src, dst netip.Addr) bool {
	why, is := senseless(src, dst)
	if is {
		t.step("", fmt.Sprintf("%s to %s", src, dst), "", "no packet is carried between such addresses")
		_ = t.end(why)
	}
	return is
}

// send is the end of what leaves for one of some hosts. What drops before that, no function of the stage sees.
func (t *trace) send(verdict bpf.Reason, hosts ...netip.Addr) error {
	if t.from.IsValid() {
		if err := t.chain(dataplane.StageForward, netip.Addr{}); err != nil {
			return err
		}
	}
	on := slices.DeleteFunc(slices.Clone(hosts), func(a netip.Addr) bool { return a == t.from })
	switch {
	case len(on) == 0:
		t.step("", "", "", "it would go back to where it came from")
		return t.end(bpf.TableReasonDROP_LOOP)
	case t.here(on):
		t.step("droplets", join(on), "ours", "no host sends to itself by a tunnel")
		return t.end(bpf.TableReasonDROP_LOOP)
	case len(on) < len(hosts):
		t.step("", "", "", "flows for which %s is chosen, where it came from, are dropped: %v", t.from, bpf.TableReasonDROP_LOOP)
	}
	return t.end(verdict, texts(on)...)
}

// deliver is the end of what is for an endpoint here.
func (t *trace) deliver(to *maps.Endpoint, verdict bpf.Reason) error {
	if err := t.chain(dataplane.StageDeliver, to.Addr); err != nil {
		return err
	}
	if to.Ifindex == t.sender {
		t.step("", "", "", "it would go back to the endpoint that sent it")
		return t.end(bpf.TableReasonDROP_LOOP)
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

func join(all []netip.Addr) string { return strings.Join(texts(all), ", ") }

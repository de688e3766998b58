// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"net/netip"

	"google.golang.org/protobuf/proto"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

// localKeys are the addresses of wanted endpoints of this host, and whose they are.
func localKeys(g *goal) map[maps.EndpointKey]string {
	return addressesOf(g.want[pb.Kind_KIND_LOCAL_ENDPOINT])
}

// addressesOf are those of endpoints of this host, and whose they are.
func addressesOf(locals map[string]proto.Message) map[maps.EndpointKey]string {
	here := make(map[maps.EndpointKey]string)
	for key, m := range locals {
		e := m.(*pb.LocalEndpoint)
		for _, a := range localAddrs(e) {
			here[maps.EndpointKey{VNI: e.Vni, Addr: a}] = key
		}
	}
	return here
}

// interfaceNames are those that an endpoint has, or takes.
func interfaceNames(e *pb.LocalEndpoint) []string {
	var all []string
	for _, n := range []string{e.HostInterface, e.GetAdopt(), e.GetStatus().GetHostInterface()} {
		if n != "" {
			all = append(all, n)
		}
	}
	if ns := e.GetNetns(); ns != "" {
		n := e.Interface
		if n == "" {
			n = "eth0"
		}
		all = append(all, ns+"/"+n)
	}
	return all
}

// makeWay moves the deletion of endpoints of this host before what takes their place: an endpoint that has one of
// their addresses, here or on another host, or their interface. One that is made anew, and stands in the way of
// others, is deleted before them, too.
func (h *Host) makeWay(p *plan, g *goal, found map[pb.Kind]map[string]*have) {
	k := h.kinds[pb.Kind_KIND_LOCAL_ENDPOINT]
	h.leaveChains(p, found)
	here, taken := localKeys(g), make(map[string]map[string]bool)
	for key, m := range g.want[k.id()] {
		for _, n := range interfaceNames(m.(*pb.LocalEndpoint)) {
			if taken[n] == nil {
				taken[n] = make(map[string]bool)
			}
			taken[n][key] = true
		}
	}
	for i := range p.steps {
		if len(p.steps[i].lines) == 0 {
			continue
		}
		line := p.steps[i].lines[0]
		if line.Kind != k.id() || line.Action == pb.Action_ACTION_ADD {
			continue
		}
		there := found[k.id()][line.Key]
		e := there.msg.(*pb.LocalEndpoint)
		phase := -1
		for _, n := range interfaceNames(e) {
			for key := range taken[n] {
				if key != line.Key {
					phase = phaseMakeWay
				}
			}
		}
		elsewhere := false
		for _, a := range localAddrs(e) {
			key := maps.EndpointKey{VNI: e.Vni, Addr: a}
			if to, is := here[key]; is && to != line.Key {
				phase = phaseMakeWay
			}
			_, is := g.places[key]
			elsewhere = elsewhere || is
		}
		if elsewhere {
			phase = phaseLeave
		}
		switch {
		case phase < 0:
		case line.Action == pb.Action_ACTION_REMOVE:
			p.steps[i].phase = phase
		default:
			h.split(p, i, phase, k, there, g.want[k.id()][line.Key])
		}
	}
}

// leaveChains leaves to the deletion of an endpoint the chains that go with it: by its address another endpoint may be
// found when it is their turn, and until it is gone they do their work.
func (h *Host) leaveChains(p *plan, found map[pb.Kind]map[string]*have) {
	going := make(map[maps.EndpointKey]bool)
	for _, s := range p.steps {
		if !s.does(pb.Kind_KIND_LOCAL_ENDPOINT, pb.Action_ACTION_REMOVE) {
			continue
		}
		e := found[pb.Kind_KIND_LOCAL_ENDPOINT][s.key()].msg.(*pb.LocalEndpoint)
		for _, a := range localAddrs(e) {
			going[maps.EndpointKey{VNI: e.Vni, Addr: a}] = true
		}
	}
	nothing := func(context.Context) error { return nil }
	for i, s := range p.steps {
		if !s.does(pb.Kind_KIND_STAGE, pb.Action_ACTION_REMOVE) {
			continue
		}
		scope := found[pb.Kind_KIND_STAGE][s.key()].msg.(*pb.Stage).Scope
		if a, err := netip.ParseAddr(scope.Address); err == nil && going[maps.EndpointKey{VNI: scope.Vni, Addr: a}] {
			p.steps[i].do, p.steps[i].undo = nothing, nothing
		}
	}
}

// split makes two steps of one that makes an endpoint anew.
func (h *Host) split(p *plan, i, phase int, k kind, there *have, want proto.Message) {
	n := name{k.id(), there.key}
	if asked := h.askedFor(n.kind, n.key); asked != nil && proto.Equal(bare(asked), bare(want)) {
		want = asked
	}
	p.count(n.kind, p.steps[i].lines[0].Action, -1)
	r := &removing{k: k, there: there}
	write := h.write(p, k, n, want, nil)
	p.steps[i].lines = []*pb.PlanStep{{Action: pb.Action_ACTION_ADD, Kind: n.kind, Key: n.key, Detail: p.steps[i].lines[0].Detail}}
	p.steps[i].undo = h.unwrite(p, k, n)
	p.steps[i].do = func(ctx context.Context) error {
		if err := write(ctx); err != nil || r.restore == nil {
			return err
		}
		err := r.restore(ctx, p.change.put[n])
		if err != nil { // whoever undoes the steps before expects nothing of this one
			err = errors.Join(err, k.unwrite(ctx, &have{key: n.key, msg: p.change.put[n]}))
		}
		return err
	}
	p.count(n.kind, pb.Action_ACTION_ADD, 1)
	p.add(phase, &pb.PlanStep{Action: pb.Action_ACTION_REMOVE, Kind: n.kind, Key: n.key, Detail: "makes way"}, r.do, r.undo)
}

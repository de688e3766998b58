// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"net/netip"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// release moves to the beginning what the kernel wants gone before other plumbing can take its place.
func (h *Host) release(p *plan, g *goal, found map[pb.Kind]map[string]*have) {
	releaseAddresses(p, g, found[pb.Kind_KIND_ADDRESS])
	h.releasePorts(p, g, found[pb.Kind_KIND_BRIDGE])
}

// releaseAddresses: an interface has an IPv6 address once, with whatever prefix length.
func releaseAddresses(p *plan, g *goal, found map[string]*have) {
	type address struct {
		at string
		is netip.Addr
	}
	of := func(m proto.Message) address {
		a := m.(*pb.Address)
		prefix, _ := netip.ParsePrefix(a.Address) // it was checked, or the kernel's
		return address{a.Interface, prefix.Addr()}
	}
	wanted := make(map[address]bool)
	for _, m := range g.want[pb.Kind_KIND_ADDRESS] {
		wanted[of(m)] = true
	}
	for i, s := range p.steps {
		if s.does(pb.Kind_KIND_ADDRESS, pb.Action_ACTION_REMOVE) {
			if a := of(found[s.key()].msg); a.is.Is6() && wanted[a] {
				p.steps[i].phase = phaseRelease
			}
		}
	}
}

// releasePorts: an interface is a port of one bridge.
func (h *Host) releasePorts(p *plan, g *goal, found map[string]*have) {
	k := h.kinds[pb.Kind_KIND_BRIDGE]
	at, goes := make(map[string]string), make(map[string]string) // by port
	for key, there := range found {
		for _, port := range there.seen.(*pb.Bridge).Ports {
			at[port] = key
		}
	}
	for key, m := range g.want[k.id()] {
		for _, port := range m.(*pb.Bridge).Ports {
			goes[port] = key
		}
	}
	for i, s := range p.steps {
		removes, updates := s.does(k.id(), pb.Action_ACTION_REMOVE), s.does(k.id(), pb.Action_ACTION_UPDATE)
		if !removes && !updates {
			continue
		}
		key := s.key()
		there := found[key]
		var left, stay []string
		for _, port := range there.seen.(*pb.Bridge).Ports {
			if to := goes[port]; to != "" && to != key {
				left = append(left, port)
			} else {
				stay = append(stay, port)
			}
		}
		gets := false // another's, which has to let go of it, too
		if updates {
			for _, port := range g.want[k.id()][key].(*pb.Bridge).Ports {
				gets = gets || at[port] != "" && at[port] != key
			}
		}
		switch {
		case left == nil:
		case updates && !gets:
			p.steps[i].phase = phaseRelease
		default:
			was, less := there.msg, proto.CloneOf(there.msg.(*pb.Bridge))
			less.Ports = stay
			there.msg = less // what undoing the step itself comes back to
			p.add(phaseRelease, &pb.PlanStep{
				Action: pb.Action_ACTION_UPDATE, Kind: k.id(), Key: key, Detail: "lets go of " + strings.Join(left, ", "),
			}, func(ctx context.Context) error {
				_, err := k.write(ctx, less, there)
				return err
			}, func(ctx context.Context) error {
				_, err := k.write(ctx, was, there)
				return err
			})
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"time"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/maps"
)

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

// network looks up the longest prefix, and says what it is.
func (t *trace) network(a netip.Addr) (*maps.Network, error) {
	best, err := t.longest(a)
	if err != nil {
		return nil, err
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

// longest asks for one prefix after the other: a look at the whole table takes long where that is big.
func (t *trace) longest(a netip.Addr) (*maps.Network, error) {
	for p := range prefixes(a) {
		n, err := t.h.dp.Network.Get(t.ctx, maps.NetworkKey{VNI: t.vni, Prefix: p})
		if err == nil {
			return &n, nil
		}
		if !errors.Is(err, dataplane.ErrNotFound) {
			return nil, err
		}
	}
	return nil, nil
}

// prefixes are those that have an address in them, the longest first. The tables take IPv4 to be ::ffff:0:0/96.
func prefixes(a netip.Addr) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for n := a.BitLen(); n >= 0; n-- {
			if !yield(netip.PrefixFrom(a, n).Masked()) {
				return
			}
		}
		for n := 80; a.Is4() && n >= 0; n-- {
			if !yield(netip.PrefixFrom(netip.IPv6Unspecified(), n)) {
				return
			}
		}
	}
}

// covers tells whether one of them is p.
func covers(p netip.Prefix, a netip.Addr) bool {
	return p.Contains(a) || p.Addr().Is6() && p.Contains(netip.AddrFrom16(a.As16()))
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
	d, err := view.Direct(t.ctx, key)
	switch {
	case errors.Is(err, dataplane.ErrNotFound):
		t.step("directs", key.String(), "", "nothing was learned")
		return netip.Addr{}, nil
	case err != nil:
		return netip.Addr{}, err
	}
	t.step("directs", key.String(), "host "+d.Host.String(), "packets came straight from there %s ago", d.Idle.Round(time.Millisecond))
	return d.Host, nil
}

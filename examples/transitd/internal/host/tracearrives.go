// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/maps"
)

// arrives is what comes by a tunnel. A host that knows where the destination lives sends it straight there; else it came
// by way of this host, with return-to-sender. A trace cannot know which: where that matters, it says so.
func (t *trace) arrives(src, dst netip.Addr) error {
	may, err := t.peer()
	if err != nil || !may || t.senseless(src, dst) {
		return err
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
	switch {
	case to != nil && to.Ifindex != 0:
		is, err := t.atHome(src, dst)
		if err != nil || !is {
			return err
		}
		return t.deliver(to, bpf.TableReasonREASON_DELIVER)
	case net != nil && net.Blackhole:
		return t.end(bpf.TableReasonDROP_BLACKHOLE)
	}
	t.step("", "", "", "one that came straight from %s, without return-to-sender, goes back there once", t.from)
	if to != nil {
		return t.send(bpf.TableReasonREASON_BOUNCE, to.Host)
	}
	return t.relay(net, bpf.TableReasonREASON_DIVIDE_NETWORK, bpf.TableReasonREASON_DIVIDE_VPC)
}

// peer tells whether the host may send tunnel packets.
func (t *trace) peer() (bool, error) {
	switch {
	case nobody(t.from), several(t.from):
		t.step("", t.from.String(), "", "no host has that address")
		return false, t.end(bpf.TableReasonDROP_OUTER_SOURCE)
	case t.own[t.from]:
		t.step("droplets", t.from.String(), "ours", "nobody else sends from an address of this host")
		return false, t.end(bpf.TableReasonDROP_OUTER_SOURCE)
	}
	for p, err := range t.h.dp.Peer.List(t.ctx) {
		if err != nil {
			return false, err
		}
		if covers(p.Prefix, t.from) {
			t.step("peers", t.from.String(), p.Prefix.String(), "it may send tunnel packets")
			return true, nil
		}
	}
	t.step("peers", t.from.String(), "", "it is no peer")
	return false, t.end(bpf.TableReasonDROP_PEER)
}

// atHome tells whether what is to be delivered may come from its source: that is where the tables say, or not known.
// look_and_learn in bpf/lib/learn.h.
func (t *trace) atHome(src, dst netip.Addr) (bool, error) {
	home, err := t.endpoint(src)
	if err == nil && home == nil {
		_, home, err = t.route(src)
	}
	if err != nil || home == nil || home.Host == t.from {
		return err == nil, err
	}
	key := pathKey(t.vni, src.String())
	if home.Ifindex != 0 {
		t.step("endpoints", key, "", "nobody else sends what is from an endpoint of this host")
		return false, t.end(bpf.TableReasonDROP_SOURCE_HOST)
	}
	relays, err := t.relays(src, dst)
	if err != nil {
		return false, err
	}
	if !relays {
		t.step("endpoints", key, home.Host.String(), "%s is not the sender's host, nor a bouncer or divider for it", t.from)
		return false, t.end(bpf.TableReasonDROP_SOURCE_HOST)
	}
	t.step("endpoints", key, home.Host.String(), "%s, a bouncer or divider, is not the sender's host: dropped (%v) unless it names that in return-to-sender",
		t.from, bpf.TableReasonDROP_SOURCE_HOST)
	return true, nil
}

// relays tells whether the host is a bouncer of either network, or a divider of the VPC.
func (t *trace) relays(src, dst netip.Addr) (bool, error) {
	for _, a := range []netip.Addr{dst, src} {
		net, err := t.longest(a)
		if err != nil || net != nil && slices.Contains(net.Bouncers, t.from) {
			return err == nil, err
		}
	}
	v, err := t.h.dp.VPC.Get(t.ctx, t.vni)
	if errors.Is(err, dataplane.ErrNotFound) {
		return false, nil
	}
	return slices.Contains(v.Dividers, t.from), err
}

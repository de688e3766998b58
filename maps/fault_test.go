// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
)

// A call that the kernel lets down at one of its steps leaves everything as it was: rows, addresses and
// prefixes beside them, counts of sets, slots.
func TestT19FailedChangeLeavesAll(t *testing.T) {
	divider := Droplet{Ifindex: 7, Addrs: hosts4, MTU: 1500} // and bouncer
	fewer, moved, other := validAgent(), validAgent(), validAgent()
	fewer.Allowed = fewer.Allowed[:1]
	moved.Traffic, moved.Allowed = 9, append(moved.Allowed[:2:2], prefix("10.10.0.0/16"))
	other.Ifindex = 5
	noDirect := validNetwork()
	noDirect.NoDirectPath = true

	sets := func(b *bpf.Tables) *ebpf.Map { return b.Sets }
	vpcs := func(b *bpf.Tables) *ebpf.Map { return b.VPCs }
	networks := func(b *bpf.Tables) *ebpf.Map { return b.Networks }
	agents := func(b *bpf.Tables) *ebpf.Map { return b.Agents }
	allowed := func(b *bpf.Tables) *ebpf.Map { return b.Allowed }
	droplets := func(b *bpf.Tables) *ebpf.Map { return b.Droplets }
	addresses := func(b *bpf.Tables) *ebpf.Map { return b.Addresses }
	traffic := func(b *bpf.Tables) *ebpf.Map { return b.Traffic }

	for _, c := range []struct {
		name  string
		fails func(*bpf.Tables) *ebpf.Map
		call  func(*rig) error
	}{
		{"new agent: its slot", traffic, func(r *rig) error { return r.Agents.Put(other) }},
		{"new agent: its prefixes", allowed, func(r *rig) error { return r.Agents.Put(other) }},
		{"new agent: its row", agents, func(r *rig) error { return r.Agents.Put(other) }},
		{"agent that changes: a prefix less", allowed, func(r *rig) error { return r.Agents.Put(fewer) }},
		{"agent that changes: its row", agents, func(r *rig) error { return r.Agents.Put(moved) }},
		{"agent that goes: its row", agents, func(r *rig) error { return r.Agents.Delete(4) }},
		{"agent that goes: its prefixes", allowed, func(r *rig) error { return r.Agents.Delete(4) }},

		{"new droplet: its slot", traffic, func(r *rig) error { return r.Droplets.Put(divider) }},
		{"new droplet: its addresses", addresses, func(r *rig) error { return r.Droplets.Put(divider) }},
		{"new droplet: its row", droplets, func(r *rig) error { return r.Droplets.Put(divider) }},
		{"new droplet: a set's twin", sets, func(r *rig) error { return r.Droplets.Put(divider) }},
		{"new droplet: VPCs", vpcs, func(r *rig) error { return r.Droplets.Put(divider) }},
		{"new droplet: networks", networks, func(r *rig) error { return r.Droplets.Put(divider) }},
		{"droplet that changes: an address less", addresses, func(r *rig) error {
			return r.Droplets.Put(Droplet{Ifindex: 3, Addrs: validDroplet().Addrs[:1], MTU: 9000})
		}},
		{"droplet that changes: networks", networks, func(r *rig) error { return r.Droplets.Put(Droplet{Ifindex: 3, Addrs: hosts4[1:], MTU: 9000}) }},
		{"droplet that goes: its row", droplets, func(r *rig) error { return r.Droplets.Delete(3) }},
		{"droplet that goes: its addresses", addresses, func(r *rig) error { return r.Droplets.Delete(3) }},
		{"divider that goes: VPCs", vpcs, func(r *rig) error { return r.Droplets.Delete(7) }},
		{"divider that is none any more: networks", networks, func(r *rig) error { return r.Droplets.Put(Droplet{Ifindex: 7, Addrs: hosts6, MTU: 1500}) }},
		{"divider that goes: networks", networks, func(r *rig) error { return r.Droplets.Delete(7) }},

		{"VPC: its set", sets, func(r *rig) error { return r.VPCs.Put(VPC{VNI: vni, Dividers: hosts6}) }},
		{"VPC: its row", vpcs, func(r *rig) error { return r.VPCs.Put(VPC{VNI: vni, Dividers: hosts6}) }},
		{"new VPC: its row", vpcs, func(r *rig) error { return r.VPCs.Put(VPC{VNI: 8, Dividers: hosts4}) }},
		{"VPC that goes", vpcs, func(r *rig) error { return r.VPCs.Delete(vni) }},
		{"network: its set", sets, func(r *rig) error { return r.Networks.Put(Network{VNI: vni, Prefix: overlay, Bouncers: hosts6}) }},
		{"network: its row", networks, func(r *rig) error { return r.Networks.Put(Network{VNI: vni, Prefix: overlay, Bouncers: hosts6}) }},
		{"network that ends the direct path: what was learned", vpcs, func(r *rig) error { return r.Networks.Put(noDirect) }},
		{"network that goes: its row", networks, func(r *rig) error { return r.Networks.Delete(validNetwork().Key()) }},
		{"network that goes: what was learned", vpcs, func(r *rig) error { return r.Networks.Delete(validNetwork().Key()) }},

		{"peer", func(b *bpf.Tables) *ebpf.Map { return b.Peers }, func(r *rig) error { return r.Peers.Put(Peer{Prefix: overlay}) }},
		{"endpoint", func(b *bpf.Tables) *ebpf.Map { return b.Endpoints }, func(r *rig) error { return r.Endpoints.Delete(validEndpoint().Key()) }},
		{"saved", func(b *bpf.Tables) *ebpf.Map { return b.Restore }, func(r *rig) error { return r.Restore.Put(Saved{Ifindex: 9, Name: "x", Role: RoleEndpoint}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, small())
			r.fill(t)
			if strings.HasPrefix(c.name, "divider") {
				require.NoError(t, r.Droplets.Put(divider))
			}
			before, refs := r.image(t), r.refs()
			freeze(t, c.fails(r.raw))
			require.ErrorIs(t, c.call(r), bpf.ErrPermission)
			after := r.image(t)
			require.Equal(t, before, after)
			require.Equal(t, refs, r.refs())
		})
	}
}

// The same where there is room for one set's twin, and the other is marked in its place.
func TestT19FailedMarkInAFullTable(t *testing.T) {
	limits := small()
	limits.Sets = 3
	r := newRig(t, limits)
	require.NoError(t, r.VPCs.PutAll([]VPC{{VNI: 1, Dividers: hosts4}, {VNI: 2, Dividers: hosts6}}))
	before, refs := r.image(t), r.refs()
	freeze(t, r.raw.VPCs)
	err := r.Droplets.Put(Droplet{Ifindex: 3, Addrs: []netip.Addr{hosts4[0], hosts6[0]}, MTU: 1500})
	require.ErrorIs(t, err, bpf.ErrPermission)
	require.Equal(t, before, r.image(t))
	require.Equal(t, refs, r.refs())
}

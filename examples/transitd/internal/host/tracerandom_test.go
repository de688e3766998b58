// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// choices makes states and packets over few addresses, so that things meet.
type choices struct {
	*rand.Rand
	namespaces []string
	none, all  []byte // functions: one that nothing comes through, and one that all comes through
}

// oneIn is true so often.
func (c choices) oneIn(n int) bool { return c.IntN(n) == 0 }

func pick[T any](c choices, all ...T) T { return all[c.IntN(len(all))] }

// Hosts: the first of each family is this one.
var (
	hosts4 = addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")
	hosts6 = addrs("2001:db8:1::1", "2001:db8:1::2", "2001:db8:1::3")
	hosts  = append(slices.Clone(hosts4), hosts6...)
)

func addrs(all ...string) (parsed []netip.Addr) {
	for _, a := range all {
		parsed = append(parsed, netip.MustParseAddr(a))
	}
	return parsed
}

// place4 and place6 are where endpoints may be, in each VPC.
func place4(i int) string { return fmt.Sprintf("10.0.0.%d", 1+i) }
func place6(i int) string { return fmt.Sprintf("2001:db8:7::%d", 1+i) }

const places6 = 6 // of either family

var traceVNIs = []uint32{7, 8, 9}

// locals are workloads: three of one VPC, one of them a function, and one of another VPC.
func (c choices) locals() (all []*pb.LocalEndpoint) {
	for i, name := range []string{"mza", "mzb", "mzf", "mzc"} {
		e := &pb.LocalEndpoint{Vni: 7, HostInterface: name, Function: name == "mzf", NoRoutes: true, Place: &pb.LocalEndpoint_Netns{Netns: c.namespaces[i]}}
		if name == "mzc" {
			e.Vni = 8
		}
		for _, p := range []string{"10.1.0.0/24", "10.0.0.4/30", "2001:db8:a::/64", "2000::/3"} {
			if c.oneIn(6) {
				e.Allowed = append(e.Allowed, p)
			}
		}
		all = append(all, e)
	}
	for i := range places6 {
		for _, text := range []string{place4(i) + "/24", place6(i) + "/64"} {
			if e := pick(c, nil, nil, all[0], all[1], all[2]); e != nil {
				e.Addresses = append(e.Addresses, text)
			}
			if c.oneIn(3) {
				all[3].Addresses = append(all[3].Addresses, text)
			}
		}
	}
	return slices.DeleteFunc(all, func(e *pb.LocalEndpoint) bool { return len(e.Addresses) == 0 })
}

// set is of one host to four.
func (c choices) set() (all []string) {
	for _, i := range c.Perm(len(hosts))[:pick(c, 1, 1, 2, 3)] {
		all = append(all, hosts[i].String())
	}
	if mine := pick(c, hosts4[0], hosts6[0]).String(); c.oneIn(4) && !slices.Contains(all, mine) {
		all = append(all, mine)
	}
	return all
}

// state is one of everything else, around the workloads.
func (c choices) state(locals []*pb.LocalEndpoint) *pb.State {
	s := &pb.State{LocalEndpoints: locals, Droplets: []*pb.Droplet{{Interface: "eth0"}},
		Functions: []*pb.Function{{Name: "none", Object: c.none}, {Name: "all", Object: c.all}}}
	for i, p := range []string{"192.0.2.0/26", "2001:db8:1::/64", "192.0.2.2/32", "2000::/3", "0.0.0.0/0"} {
		if i < 2 && !c.oneIn(5) || c.oneIn(5) {
			s.Peers = append(s.Peers, &pb.Peer{Prefix: p})
		}
	}
	taken := make(map[string]bool)
	for _, e := range locals {
		for _, a := range localAddrs(e) {
			taken[pathKey(e.Vni, a.String())] = true
		}
	}
	for _, vni := range traceVNIs {
		if !c.oneIn(5) {
			v := &pb.Vpc{Vni: vni, NoDirectPath: c.oneIn(4)}
			if !c.oneIn(5) {
				v.Dividers = c.set()
			}
			s.Vpcs = append(s.Vpcs, v)
		}
		for _, p := range []string{"10.0.0.0/24", "10.0.0.0/29", "10.0.0.4/30", "0.0.0.0/0", "2001:db8:7::/64", "2001:db8:7::4/126", "::/0"} {
			if !c.oneIn(3) || strings.HasSuffix(p, "/0") && !c.oneIn(3) {
				continue
			}
			n := &pb.Network{Vni: vni, Prefix: p, NoDirectPath: c.oneIn(4)}
			switch c.IntN(5) {
			case 0:
				n.Blackhole = true
			case 1, 2:
				n.Via = pick(c, place4, place6)(c.IntN(places6))
			default:
				n.Bouncers = c.set()
			}
			s.Networks = append(s.Networks, n)
		}
		for i := range places6 {
			for _, a := range []string{place4(i), place6(i)} {
				if c.oneIn(4) && !taken[pathKey(vni, a)] {
					s.Endpoints = append(s.Endpoints, &pb.Endpoint{Vni: vni, Address: a, Host: pick(c, hosts...).String()})
				}
			}
		}
	}
	for range pick(c, 0, 0, 0, 1, 3) {
		s.Stages = append(s.Stages, c.stage(s))
	}
	slices.SortFunc(s.Stages, func(a, b *pb.Stage) int { return strings.Compare(a.Scope.String(), b.Scope.String()) })
	s.Stages = slices.CompactFunc(s.Stages, func(a, b *pb.Stage) bool { return a.Scope.String() == b.Scope.String() })
	return s
}

func (c choices) stage(s *pb.State) *pb.Stage {
	scope := &pb.StageScope{Point: pick(c, pb.StagePoint_STAGE_POINT_SEND, pb.StagePoint_STAGE_POINT_PARSE, pb.StagePoint_STAGE_POINT_DELIVER, pb.StagePoint_STAGE_POINT_FORWARD)}
	if !c.oneIn(3) {
		scope.Vni = pick(c, traceVNIs...)
	}
	ofOne := scope.Point == pb.StagePoint_STAGE_POINT_SEND || scope.Point == pb.StagePoint_STAGE_POINT_DELIVER
	if len(s.LocalEndpoints) > 0 && ofOne && c.oneIn(2) {
		e := pick(c, s.LocalEndpoints...)
		scope.Vni, scope.Address = e.Vni, lowest(localAddrs(e)).String()
	}
	return &pb.Stage{Scope: scope, Functions: pick(c, []string{"none"}, []string{"all"}, []string{"all", "none"})}
}

// teach puts learned hosts into the tables in place of those that are there: some that are believed, and some that are
// not. They are of two seconds ago: for one second, programs take what was taught without a look at the networks.
func (c choices) teach(t testing.TB, p *programs) {
	t.Helper()
	var now unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
	var key bpf.TableEndpointKey
	for p.tables.Directs.NextKey(nil, &key) == nil {
		require.NoError(t, p.tables.Directs.Delete(key))
	}
	for _, vni := range traceVNIs {
		var v bpf.TableVpc
		_ = p.tables.VPCs.Lookup(vni, &v) // of none, nothing is believed
		for i := range places6 {
			for _, a := range []string{place4(i), place6(i)} {
				if !c.oneIn(3) {
					continue
				}
				key := bpf.TableEndpointKey{Vni: vni, Addr: bpf.TableAddress{Bytes: netip.MustParseAddr(a).As16()}}
				d := bpf.TableDirect{Host: bpf.TableAddress{Bytes: pick(c, hosts...).As16()}, Generation: v.Generation, Seen: uint64(now.Nano() - 2e9)}
				switch c.IntN(6) {
				case 0:
					d.Generation++
				case 1:
					d.Flags = bpf.TableDirectFlagsDIRECT_GONE
				case 2:
					d.Seen = 1
				}
				require.NoError(t, p.tables.Directs.Put(key, d))
			}
		}
	}
	p.lookAgain(t)
}

// packet is one that somebody may ask about.
func (c choices) packet() *pb.TracePacketRequest {
	q := &pb.TracePacketRequest{Vni: pick[uint32](c, 7, 7, 7, 8, 9)}
	some, odd := place4, addrs("10.1.0.5", "10.9.9.9", "224.0.0.1", "127.0.0.1", "240.0.0.1", "255.255.255.255", "0.0.0.0")
	if c.oneIn(2) {
		some, odd = place6, addrs("2001:db8:a::1", "2001:db8:9::9", "ff02::1", "::1", "::")
	}
	one := func() string {
		switch c.IntN(20) {
		case 0:
			return pick(c, odd...).String()
		case 1, 2:
			return pick(c, odd[:2]...).String()
		}
		return some(c.IntN(places6))
	}
	q.Source, q.Destination = one(), one()
	if c.oneIn(2) {
		q.From = pick(c, "192.0.2.2", "192.0.2.3", "192.0.2.4", "2001:db8:1::2", "2001:db8:1::3")
	}
	if q.From != "" && c.oneIn(15) {
		q.From = pick(c, "192.0.2.1", "2001:db8:1::1", "192.0.2.77", "2001:db8:1::77", "127.0.0.1", "224.0.0.1", "ff02::1", "::1", "240.0.0.1")
	}
	return q
}

// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
)

// requireLearned checks what is believed, by Get and by All, for the writer and for a reader.
func (r *rig) requireLearned(t testing.TB, want ...EndpointKey) {
	t.Helper()
	for _, tables := range []*Tables{r.Tables, r.reader(t)} {
		var keys []EndpointKey
		for _, d := range collect(t, tables.Directs.All()) {
			keys = append(keys, EndpointKey{d.VNI, d.Addr})
			got, err := tables.Directs.Get(EndpointKey{d.VNI, d.Addr})
			require.NoError(t, err)
			require.Equal(t, d.Host, got.Host)
			require.GreaterOrEqual(t, got.Idle, d.Idle)
		}
		require.ElementsMatch(t, want, keys)
	}
}

// tenants puts two VPCs that have the same addresses, and teaches one of each.
func (r *rig) tenants(t testing.TB) (a, b EndpointKey) {
	t.Helper()
	r.ages(t)
	require.NoError(t, r.VPCs.PutAll([]VPC{{VNI: 1}, {VNI: 2}}))
	a, b = EndpointKey{1, workload(1)}, EndpointKey{2, workload(1)}
	r.teach(t, a, hosts4[0])
	r.teach(t, b, hosts6[0])
	r.requireLearned(t, a, b)
	return a, b
}

func TestDirects(t *testing.T) {
	r := newRig(t, small())
	a, b := r.tenants(t)
	require.ErrorIs(t, r.reader(t).Directs.Delete(a), ErrReadOnly)
	require.NoError(t, r.Directs.Delete(a))
	require.ErrorIs(t, r.Directs.Delete(a), ErrNotFound)
	_, err := r.Directs.Get(a)
	require.ErrorIs(t, err, ErrNotFound)
	r.requireLearned(t, b)
	// No more than the programs is a caller told of what is too old.
	now, err := monotonic()
	require.NoError(t, err)
	row, err := r.s.directs.get(toEndpointKey(b))
	require.NoError(t, err)
	row.Seen = uint64(now - 3*time.Second)
	require.NoError(t, r.s.directs.put(toEndpointKey(b), row))
	got, err := r.Directs.Get(b)
	require.NoError(t, err)
	require.GreaterOrEqual(t, got.Idle, 3*time.Second)
	require.NoError(t, r.Settings.Put(Settings{DirectAge: time.Second}))
	r.requireLearned(t)
}

func TestT10EndpointThatChangesIsForgotten(t *testing.T) {
	for name, change := range map[string]func(*Endpoints, EndpointKey) error{
		"put": func(e *Endpoints, k EndpointKey) error { return e.Put(Endpoint{VNI: k.VNI, Addr: k.Addr, Ifindex: 3}) },
		"insert": func(e *Endpoints, k EndpointKey) error {
			return e.Insert(Endpoint{VNI: k.VNI, Addr: k.Addr, Ifindex: 3})
		},
		"delete all": func(e *Endpoints, k EndpointKey) error { return e.DeleteAll([]EndpointKey{k}) },
		"delete, though no row is there": func(e *Endpoints, k EndpointKey) error {
			if err := e.Delete(k); err == nil {
				return ErrExists
			}
			return nil
		},
		"delete": func(e *Endpoints, k EndpointKey) error {
			if err := e.s.endpoints.put(toEndpointKey(k), bpf.TableEndpoint{Ifindex: 3}); err != nil {
				return err
			}
			return e.Delete(k)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, small())
			a, b := r.tenants(t)
			if name == "delete all" {
				require.ErrorIs(t, change(r.Endpoints, a), ErrNotFound)
			} else {
				require.NoError(t, change(r.Endpoints, a))
			}
			r.requireLearned(t, b)
			row, err := r.s.directs.get(toEndpointKey(a))
			if name == "put" || name == "insert" {
				require.NoError(t, err)
				require.Equal(t, bpf.TableDirectFlagsDIRECT_GONE, row.Flags)
			} else {
				require.ErrorIs(t, err, ErrNotFound)
			}
		})
	}
}

// The host where an endpoint has been may return what is under way to it: programs are told which that was,
// learned or configured.
func TestMovedEndpointMayReturn(t *testing.T) {
	r := newRig(t, small())
	a, b := r.tenants(t)
	was := func(key EndpointKey) netip.Addr {
		row, err := r.s.directs.get(toEndpointKey(key))
		if errors.Is(err, ErrNotFound) {
			return netip.Addr{}
		}
		require.NoError(t, err)
		vpc, err := r.s.vpcs.get(key.VNI)
		require.NoError(t, err)
		require.Equal(t, vpc.Generation, row.Generation)
		require.Equal(t, bpf.TableDirectFlagsDIRECT_GONE, row.Flags)
		return fromWire(row.Host)
	}
	put := func(host netip.Addr, ifindex int) {
		require.NoError(t, r.Endpoints.Put(Endpoint{VNI: a.VNI, Addr: a.Addr, Host: host, Ifindex: ifindex}))
		r.requireLearned(t, b)
	}
	put(hosts4[1], 0)
	require.Equal(t, hosts4[0], was(a), "learned")
	put(hosts4[1], 0)
	require.Equal(t, hosts4[0], was(a), "it did not move")
	put(hosts6[1], 0)
	require.Equal(t, hosts4[1], was(a), "configured")
	put(netip.Addr{}, 3)
	require.Equal(t, hosts6[1], was(a), "it came here")
	put(hosts4[0], 0)
	require.Equal(t, hosts6[1], was(a), "this host returns nothing to itself")
	require.NoError(t, r.Endpoints.Delete(a))
	require.False(t, was(a).IsValid())
}

// Many endpoints at once are forgotten in another way.
func TestT10ManyEndpointsAreForgotten(t *testing.T) {
	limits := small()
	limits.Endpoints, limits.Directs = 4*manyKeys, 1<<16
	r := newRig(t, limits)
	a, b := r.tenants(t)
	var put []Endpoint
	var keys, known []EndpointKey
	for n := range manyKeys + 1 {
		key := EndpointKey{1, workload(n)}
		put, keys = append(put, Endpoint{VNI: 1, Addr: key.Addr, Host: host(1)}), append(keys, key)
		if n%7 == 0 {
			r.teach(t, key, host(1))
			known = append(known, key)
		}
	}
	r.requireLearned(t, append(known, a, b)...)
	require.NoError(t, r.Endpoints.PutAll(put))
	r.requireLearned(t, b)
	for _, key := range known {
		r.teach(t, key, host(1))
	}
	require.NoError(t, r.Endpoints.DeleteAll(keys))
	r.requireLearned(t, b)
}

// A VPC that comes back under its VNI has nothing of the one before, though rows of that are there still.
func TestT10VPCThatComesBackKnowsNothing(t *testing.T) {
	r := newRig(t, small())
	a, b := r.tenants(t)
	require.NoError(t, r.VPCs.Put(VPC{VNI: 1, Dividers: hosts4}))
	r.requireLearned(t, a, b) // a change of it is none of its end
	old, err := r.s.directs.get(toEndpointKey(a))
	require.NoError(t, err)
	require.NoError(t, r.VPCs.Delete(1))
	r.requireLearned(t, b)
	require.NoError(t, r.VPCs.Put(VPC{VNI: 1}))
	r.requireLearned(t, b)
	// Also what a program writes that had read the VPC before.
	require.NoError(t, r.s.directs.put(toEndpointKey(a), old))
	r.requireLearned(t, b)
	r.reopen(t)
	r.requireLearned(t, b)
	r.teach(t, a, hosts4[1])
	r.requireLearned(t, a, b)
	r.reopen(t)
	r.requireLearned(t, a, b)
}

func TestT10NetworkThatGoesVoidsItsVPC(t *testing.T) {
	r := newRig(t, small())
	network := Network{VNI: 1, Prefix: prefix("10.0.0.0/24"), Bouncers: hosts4}
	require.NoError(t, r.Networks.Put(network))
	a, b := r.tenants(t)
	require.NoError(t, r.Networks.Delete(network.Key()))
	r.requireLearned(t, b)
	require.NoError(t, r.Networks.Put(network))
	r.requireLearned(t, b)
	r.teach(t, a, hosts4[0])
	require.ErrorIs(t, r.Networks.DeleteAll([]NetworkKey{{2, network.Prefix}, network.Key()}), ErrNotFound)
	r.requireLearned(t, b)
	// Where there is no VPC, there is nothing to void.
	require.NoError(t, r.Networks.Put(Network{VNI: 3, Prefix: network.Prefix, Blackhole: true}))
	require.NoError(t, r.Networks.Delete(NetworkKey{3, network.Prefix}))
}

func TestT10NetworkThatEndsTheDirectPathVoidsItsVPC(t *testing.T) {
	r := newRig(t, small())
	p := prefix("10.0.0.0/24")
	a, b := r.tenants(t)
	for _, step := range []struct {
		name  string
		row   Network
		voids bool
	}{
		{"new", Network{Bouncers: hosts4}, false},
		{"other bouncers", Network{Bouncers: hosts6}, false},
		{"other cookie", Network{Bouncers: hosts6, Cookie: 1}, false},
		{"no direct path", Network{Bouncers: hosts6, NoDirectPath: true}, true},
		{"no direct path still", Network{Bouncers: hosts4, NoDirectPath: true}, false},
		{"plain", Network{Bouncers: hosts4}, false},
		{"behind an endpoint", Network{Via: workload(9)}, true},
		{"behind another", Network{Via: workload(8)}, true},
		{"behind that still", Network{Via: workload(8), Cookie: 2}, false},
		{"black hole", Network{Blackhole: true}, true},
	} {
		row := step.row
		row.VNI, row.Prefix = 1, p
		require.NoError(t, r.Networks.Put(row), step.name)
		if step.voids {
			r.requireLearned(t, b)
			r.teach(t, a, hosts4[0])
		}
		r.requireLearned(t, a, b)
	}
}

// What was known before a VPC had no direct path may be wrong after.
func TestT10VPCWithoutDirectPathKnowsNothingAfter(t *testing.T) {
	r := newRig(t, small())
	_, b := r.tenants(t)
	require.NoError(t, r.VPCs.Put(VPC{VNI: 1, NoDirectPath: true}))
	r.requireLearned(t, b)
	require.NoError(t, r.VPCs.Put(VPC{VNI: 1, NoDirectPath: true, Cookie: 1}))
	require.NoError(t, r.VPCs.Put(VPC{VNI: 1}))
	r.requireLearned(t, b)
}

func TestT11HostsThatAreNoPeersAreForgotten(t *testing.T) {
	r := newRig(t, small())
	wide, narrow, six := prefix("192.0.2.0/24"), prefix("192.0.2.1/32"), prefix("2001:db8::/32")
	require.NoError(t, r.Peers.PutAll([]Peer{{Prefix: wide}, {Prefix: narrow}, {Prefix: six}}))
	a, b := r.tenants(t) // at 192.0.2.1 and 2001:db8::1
	require.NoError(t, r.Peers.Delete(narrow))
	r.requireLearned(t, a, b) // of the other prefix still
	require.ErrorIs(t, r.Peers.Delete(narrow), ErrNotFound)
	require.NoError(t, r.Peers.Delete(wide))
	r.requireLearned(t, b)
	require.ErrorIs(t, r.Peers.DeleteAll([]netip.Prefix{wide, six}), ErrNotFound)
	require.Zero(t, count(t, r.s.directs))
}

func TestPaths(t *testing.T) {
	r := newRig(t, small())
	now, err := monotonic()
	require.NoError(t, err)
	for h, row := range map[netip.Addr]bpf.TablePath{
		hosts4[0]: {Mtu: 1400, Expires: uint64(now + time.Hour)},
		hosts6[0]: {Mtu: 1280, Expires: uint64(now - time.Second)},
		hosts4[1]: {Refreshed: uint64(now)},
	} {
		require.NoError(t, r.s.paths.put(toWire(h), row))
	}
	for _, tables := range []*Tables{r.Tables, r.reader(t)} {
		all := collect(t, tables.Paths.All())
		require.Len(t, all, 3)
		p, err := tables.Paths.Get(hosts4[0])
		require.NoError(t, err)
		require.Equal(t, 1400, p.MTU)
		require.Greater(t, p.Expires, 50*time.Minute)
		require.LessOrEqual(t, p.Expires, time.Hour)
		for _, h := range []netip.Addr{hosts6[0], hosts4[1]} {
			p, err := tables.Paths.Get(h)
			require.NoError(t, err)
			require.Equal(t, Path{Host: h}, p)
			require.Contains(t, all, p)
		}
	}
	require.ErrorIs(t, r.reader(t).Paths.Delete(hosts4[0]), ErrReadOnly)
	require.NoError(t, r.Paths.Delete(hosts4[0]))
	require.ErrorIs(t, r.Paths.Delete(hosts4[0]), ErrNotFound)
	_, err = r.Paths.Get(hosts4[0])
	require.ErrorIs(t, err, ErrNotFound)
}

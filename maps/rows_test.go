// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"iter"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
)

// fill puts a row into each table that has none made by programs.
func (r *rig) fill(t testing.TB) {
	t.Helper()
	require.NoError(t, r.Peers.Put(validPeer()))
	require.NoError(t, r.VPCs.Put(validVPC()))
	require.NoError(t, r.Networks.Put(validNetwork()))
	require.NoError(t, r.Endpoints.Put(validEndpoint()))
	require.NoError(t, r.Droplets.Put(validDroplet()))
	require.NoError(t, r.Agents.Put(validAgent()))
	require.NoError(t, r.Restore.Put(validSaved()))
}

// keyed is what every table of rows that are put has.
type keyed[K, R any] interface {
	Put(R) error
	Get(K) (R, error)
	Delete(K) error
	All() iter.Seq2[R, error]
}

// bulky is one that takes many at once, too.
type bulky[K, R any] interface {
	keyed[K, R]
	PutAll([]R) error
	DeleteAll([]K) error
}

// seen is a row as it is shown: with what the tables choose taken from what they chose.
func seen[R any](want, got R) R {
	switch w := any(&want).(type) {
	case *Droplet:
		w.Traffic = any(got).(Droplet).Traffic
	case *Agent:
		w.Traffic = any(got).(Agent).Traffic
	}
	return want
}

// lifeOf puts rows of different keys, replaces one by another of its key, and deletes them.
func lifeOf[K comparable, R any](t *testing.T, table, reader keyed[K, R], key func(R) K, rows []R, replacement R) {
	t.Helper()
	get := func(want R) {
		t.Helper()
		for _, from := range []keyed[K, R]{table, reader} {
			got, err := from.Get(key(want))
			require.NoError(t, err)
			require.Equal(t, seen(want, got), got)
		}
	}
	listed := func(n int) {
		t.Helper()
		for _, from := range []keyed[K, R]{table, reader} {
			all := collect(t, from.All())
			require.Len(t, all, n)
			for _, row := range all {
				got, err := from.Get(key(row))
				require.NoError(t, err)
				require.Equal(t, got, row)
			}
		}
	}
	gone := func(row R) {
		t.Helper()
		for _, from := range []keyed[K, R]{table, reader} {
			got, err := from.Get(key(row))
			require.ErrorIs(t, err, ErrNotFound)
			require.Zero(t, got)
		}
		require.ErrorIs(t, table.Delete(key(row)), ErrNotFound)
	}

	listed(0)
	for i, row := range rows {
		gone(row)
		require.NoError(t, table.Put(row))
		listed(i + 1)
	}
	for _, row := range rows {
		get(row)
		require.NoError(t, table.Put(row), "once more")
		get(row)
	}
	require.NoError(t, table.Put(replacement))
	get(replacement)
	listed(len(rows))
	require.NoError(t, table.Put(rows[0]))
	for i, row := range rows {
		get(row)
		require.ErrorIs(t, reader.Put(row), ErrReadOnly)
		require.ErrorIs(t, reader.Delete(key(row)), ErrReadOnly)
		require.NoError(t, table.Delete(key(row)))
		gone(row)
		listed(len(rows) - 1 - i)
	}
}

// bulkOf does to many at once what lifeOf does to each.
func bulkOf[K comparable, R any](t *testing.T, table, reader bulky[K, R], key func(R) K, rows []R, replacement R) {
	t.Helper()
	var keys []K
	for _, row := range rows {
		keys = append(keys, key(row))
	}
	requireRows := func(want []R) {
		t.Helper()
		require.Len(t, collect(t, table.All()), len(want))
		for _, row := range want {
			got, err := reader.Get(key(row))
			require.NoError(t, err)
			require.Equal(t, row, got)
		}
	}
	require.NoError(t, table.PutAll(nil))
	require.NoError(t, table.DeleteAll(nil))
	// Of two rows for one key the later counts.
	require.NoError(t, table.PutAll(append([]R{replacement}, rows...)))
	requireRows(rows)
	require.NoError(t, table.PutAll(append(slices.Clone(rows), replacement)))
	requireRows(append([]R{replacement}, rows[1:]...))

	require.ErrorIs(t, reader.PutAll(rows), ErrReadOnly)
	require.ErrorIs(t, reader.DeleteAll(keys), ErrReadOnly)
	// What is there goes, though one is not; one that is named twice is there.
	require.NoError(t, table.Delete(keys[0]))
	require.ErrorIs(t, table.DeleteAll(append(keys, keys[1])), ErrNotFound)
	requireRows(nil)
	require.NoError(t, table.PutAll(rows))
	require.NoError(t, table.DeleteAll(append(keys, keys[1])))
	requireRows(nil)
}

func TestPeers(t *testing.T) {
	r := newRig(t, small())
	rows := []Peer{
		validPeer(), {Prefix: prefix("192.0.2.0/25")}, {Prefix: prefix("0.0.0.0/0")},
		{Prefix: prefix("2001:db8::/32")}, {Prefix: prefix("2001:db8::1/128")},
	}
	key := func(p Peer) netip.Prefix { return p.Prefix }
	lifeOf(t, r.Peers, r.reader(t).Peers, key, rows, Peer{Prefix: rows[0].Prefix, Cookie: 1})
	bulkOf(t, r.Peers, r.reader(t).Peers, key, rows, Peer{Prefix: rows[0].Prefix, Cookie: 1})
}

func TestVPCs(t *testing.T) {
	r := newRig(t, small())
	rows := []VPC{
		validVPC(), {VNI: 1}, {VNI: 1<<24 - 1, NoDirectPath: true}, {VNI: 8, Dividers: hosts6}, {VNI: 9, Dividers: tooMany()[:setMembers]},
	}
	for i := range rows {
		slices.SortFunc(rows[i].Dividers, netip.Addr.Compare)
	}
	key := func(v VPC) uint32 { return v.VNI }
	lifeOf(t, r.VPCs, r.reader(t).VPCs, key, rows, VPC{VNI: vni, Dividers: hosts6[:1], NoDirectPath: true})
	bulkOf(t, r.VPCs, r.reader(t).VPCs, key, rows, VPC{VNI: vni, Dividers: hosts6[:1], NoDirectPath: true})
}

func TestNetworks(t *testing.T) {
	r := newRig(t, small())
	rows := []Network{
		validNetwork(),
		{VNI: vni, Prefix: prefix("10.0.0.0/16"), Blackhole: true},
		{VNI: vni, Prefix: prefix("0.0.0.0/0"), Via: addr("10.0.0.1"), Cookie: 2},
		{VNI: vni + 1, Prefix: prefix("10.0.0.0/24"), Bouncers: hosts6, NoDirectPath: true},
		{VNI: vni, Prefix: prefix("::/0"), Via: addr("2001:db8:7::1")},
		{VNI: 1<<24 - 1, Prefix: prefix("10.0.0.1/32"), Bouncers: hosts4[:1]},
	}
	lifeOf(t, r.Networks, r.reader(t).Networks, Network.Key, rows, Network{VNI: vni, Prefix: rows[0].Prefix, Blackhole: true})
	bulkOf(t, r.Networks, r.reader(t).Networks, Network.Key, rows, Network{VNI: vni, Prefix: rows[0].Prefix, Blackhole: true})
}

func TestEndpoints(t *testing.T) {
	r := newRig(t, small())
	rows := []Endpoint{
		validEndpoint(),
		{VNI: vni + 1, Addr: addr("10.0.0.1"), Host: addr("2001:db8::1")},
		{VNI: vni, Addr: addr("10.0.0.2"), Ifindex: 1<<31 - 1, MAC: mac, Cookie: cookie},
		{VNI: 1<<24 - 1, Addr: addr("2001:db8:7::1"), Host: addr("192.0.2.1")},
	}
	moved := Endpoint{VNI: vni, Addr: rows[0].Addr, Ifindex: 9}
	lifeOf(t, r.Endpoints, r.reader(t).Endpoints, Endpoint.Key, rows, moved)
	bulkOf(t, r.Endpoints, r.reader(t).Endpoints, Endpoint.Key, rows, moved)

	require.NoError(t, r.Endpoints.Insert(rows[0]))
	require.ErrorIs(t, r.Endpoints.Insert(moved), ErrExists)
	require.ErrorIs(t, r.reader(t).Endpoints.Insert(rows[1]), ErrReadOnly)
	require.Equal(t, rows[:1], collect(t, r.Endpoints.All()))
}

func TestDroplets(t *testing.T) {
	r := newRig(t, small())
	rows := []Droplet{
		validDroplet(),
		{Ifindex: 1, Addrs: hosts4, MTU: 68},
		{Ifindex: 1<<31 - 1, Addrs: hosts6, MTU: 65535, MAC: mac},
	}
	moved := Droplet{Ifindex: 3, Addrs: []netip.Addr{addr("198.51.100.1")}, MTU: 9000}
	lifeOf(t, r.Droplets, r.reader(t).Droplets, func(d Droplet) int { return d.Ifindex }, rows, moved)
	require.Zero(t, count(t, r.s.addresses))
}

func TestAgents(t *testing.T) {
	r := newRig(t, small())
	rows := []Agent{
		validAgent(),
		{Ifindex: 1, VNI: 1, MAC: mac, MTU: 68},
		{Ifindex: 1<<31 - 1, VNI: 1<<24 - 1, MAC: mac, MTU: 65535, Allowed: []netip.Prefix{prefix("0.0.0.0/0"), prefix("::/0")}},
	}
	for i := range rows {
		slices.SortFunc(rows[i].Allowed, comparePrefixes)
	}
	other := Agent{Ifindex: 4, VNI: vni + 1, MAC: mac, MTU: 1400, Allowed: []netip.Prefix{prefix("10.9.0.0/16"), prefix("10.9.1.0/24")}}
	lifeOf(t, r.Agents, r.reader(t).Agents, func(a Agent) int { return a.Ifindex }, rows, other)
	all, err := r.s.allowed.scan()
	require.NoError(t, err)
	require.Empty(t, all)
}

func TestRestore(t *testing.T) {
	r := newRig(t, small())
	rows := []Saved{
		validSaved(), {Ifindex: 1, Name: "a", Role: RoleEndpoint}, {Ifindex: 2, Name: "fifteen-letters", Role: RoleAdopted, Mode: bpf.Offload},
	}
	lifeOf(t, r.Restore, r.reader(t).Restore, func(s Saved) int { return s.Ifindex }, rows, Saved{Ifindex: 3, Name: "eth1", Role: RoleDroplet})
}

func TestRoles(t *testing.T) {
	require.Equal(t, "droplet", RoleDroplet.String())
	require.Equal(t, "adopted", RoleAdopted.String())
	require.Equal(t, "role(0)", Role(0).String())
	require.Equal(t, "role(9)", Role(9).String())
}

func TestSettings(t *testing.T) {
	r := newRig(t, small())
	_, err := r.Settings.Get()
	require.ErrorIs(t, err, ErrNotFound)
	require.NoError(t, r.Settings.Put(Settings{}))
	got, err := r.Settings.Get()
	require.NoError(t, err)
	require.Equal(t, Settings{Port: DefaultPort, OptionClass: OptionClass}, got)

	want := Settings{FIBIfindex: 1<<31 - 1, Port: 4789, OptionClass: 0x0102, DirectAge: 1, PathAge: 2, Refresh: 3,
		EventsPerSecond: 4, NetNS: cookie, Build: cookie + 1}
	require.NoError(t, r.Settings.Put(want))
	got, err = r.reader(t).Settings.Get()
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.ErrorIs(t, r.reader(t).Settings.Put(want), ErrReadOnly)

	// Of another library, which would know what its fields mean.
	w, err := r.s.settings.get(0)
	require.NoError(t, err)
	w.Layout++
	require.NoError(t, r.s.settings.put(0, w))
	_, err = r.Settings.Get()
	require.ErrorIs(t, err, bpf.ErrABI)
}

// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"cmp"
	"encoding/binary"
	"iter"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
)

const vni = 7

// cookie has all of its 64 bits in use.
const cookie = 0xfedc_ba98_7654_3210

var (
	overlay = prefix("10.0.0.0/24")

	mac    = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	hosts4 = []netip.Addr{addr("192.0.2.1"), addr("192.0.2.2"), addr("192.0.2.3")}
	hosts6 = []netip.Addr{addr("2001:db8::1"), addr("2001:db8::2")}
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// host is the nth address of a range that none of the above is of.
func host(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)})
}

// workload is the nth address of a tenant's, from 10.0.0.1 on.
func workload(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 10<<24+1+uint32(n))
	return netip.AddrFrom4(b)
}

// rig is the kernel's tables, and their writer.
type rig struct {
	*Tables
	raw *bpf.Tables
}

// small is enough for most tests, and makes tables in no time.
func small() bpf.Limits {
	return bpf.Limits{Endpoints: 1024, Networks: 64, VPCs: 64, Sets: 64, Peers: 64, Agents: 64, Allowed: 64,
		Directs: 1024, Paths: 64, Traffic: 64}
}

func newRig(t testing.TB, limits bpf.Limits) *rig {
	t.Helper()
	testutil.Root(t)
	testutil.Leaks(t)
	raw, err := bpf.NewTables(limits)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, raw.Close()) })
	return &rig{open(t, raw), raw}
}

func open(t testing.TB, raw *bpf.Tables) *Tables {
	t.Helper()
	tables, err := Open(raw)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tables.Close()) })
	return tables
}

// reader sees the same tables as another process does.
func (r *rig) reader(t testing.TB) *Tables {
	t.Helper()
	tables, err := OpenReadOnly(r.raw)
	require.NoError(t, err)
	return tables
}

// reopen closes the writer and opens another, as a process does that comes after.
func (r *rig) reopen(t testing.TB) {
	t.Helper()
	require.NoError(t, r.Tables.Close())
	r.Tables = open(t, r.raw)
}

// teach does what a program does that learns a host.
func (r *rig) teach(t testing.TB, key EndpointKey, host netip.Addr) {
	t.Helper()
	vpc, err := r.s.vpcs.get(key.VNI)
	require.NoError(t, err)
	now, err := monotonic()
	require.NoError(t, err)
	require.NoError(t, r.s.directs.put(toEndpointKey(key),
		bpf.TableDirect{Host: toWire(host), Generation: vpc.Generation, Seen: uint64(now)}))
}

// ages has learned hosts live longer than a test.
func (r *rig) ages(t testing.TB) {
	t.Helper()
	require.NoError(t, r.Settings.Put(Settings{DirectAge: time.Hour, PathAge: time.Hour}))
}

// collect takes all rows of an iterator that must not fail.
func collect[R any](t testing.TB, rows iter.Seq2[R, error]) (all []R) {
	t.Helper()
	for row, err := range rows {
		require.NoError(t, err)
		all = append(all, row)
	}
	return all
}

// count counts what is in a table of the kernel's.
func count[K comparable, V any](t testing.TB, table table[K, V]) (n int) {
	t.Helper()
	require.NoError(t, table.each(func(K, V) error { n++; return nil }))
	return n
}

// image is all that is in the tables, without sets that no row names: two of the same content may stand
// in for each other there, and their ids are nobody's business.
type image struct {
	Peers     []Peer
	VPCs      []VPC
	Networks  []Network
	Endpoints []Endpoint
	Droplets  []Droplet
	Agents    []Agent
	Saved     []Saved
	Own       ownAddrs
	Allowed   map[int][]netip.Prefix
	Slots     int
	Marks     map[uint32]bool // of sets in use: whether this host is in
}

// image is read from the kernel; what the writer knows has to agree.
func (r *rig) image(t testing.TB) image {
	t.Helper()
	seen := imageOf(t, r.reader(t))
	known := imageOf(t, r.Tables)
	require.Equal(t, seen, known, "what the kernel has, what the writer believes")
	seen.Slots = 0
	for _, used := range r.s.slots.used {
		if used {
			seen.Slots++
		}
	}
	seen.Marks = map[uint32]bool{}
	for id, e := range r.s.sets.byID {
		v, err := r.s.sets.table.get(id)
		require.NoError(t, err)
		require.Equal(t, setToWire(e.members, e.self), v)
		if e.refs > 0 {
			seen.Marks[id] = e.self
		}
	}
	return seen
}

func imageOf(t testing.TB, tables *Tables) (i image) {
	t.Helper()
	i = image{
		Peers:     collect(t, tables.Peers.All()),
		VPCs:      collect(t, tables.VPCs.All()),
		Networks:  collect(t, tables.Networks.All()),
		Endpoints: collect(t, tables.Endpoints.All()),
		Droplets:  collect(t, tables.Droplets.All()),
		Agents:    collect(t, tables.Agents.All()),
		Saved:     collect(t, tables.Restore.All()),
	}
	// The kernel keeps no order.
	slices.SortFunc(i.Peers, func(a, b Peer) int { return comparePrefixes(a.Prefix, b.Prefix) })
	slices.SortFunc(i.VPCs, func(a, b VPC) int { return cmp.Compare(a.VNI, b.VNI) })
	slices.SortFunc(i.Networks, func(a, b Network) int {
		return cmp.Or(cmp.Compare(a.VNI, b.VNI), comparePrefixes(a.Prefix, b.Prefix))
	})
	slices.SortFunc(i.Endpoints, func(a, b Endpoint) int {
		return cmp.Or(cmp.Compare(a.VNI, b.VNI), a.Addr.Compare(b.Addr))
	})
	slices.SortFunc(i.Droplets, func(a, b Droplet) int { return cmp.Compare(a.Ifindex, b.Ifindex) })
	slices.SortFunc(i.Agents, func(a, b Agent) int { return cmp.Compare(a.Ifindex, b.Ifindex) })
	slices.SortFunc(i.Saved, func(a, b Saved) int { return cmp.Compare(a.Ifindex, b.Ifindex) })
	var err error
	i.Own, err = tables.s.allOwn()
	require.NoError(t, err)
	i.Allowed, err = tables.s.allAllowed()
	require.NoError(t, err)
	return i
}

// freeze has the kernel refuse every write to a table from now on: a fault in the middle of a call.
func freeze(t testing.TB, m *ebpf.Map) {
	t.Helper()
	require.NoError(t, m.Freeze())
}

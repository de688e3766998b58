// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
)

// tight has room for four of each.
func tight() bpf.Limits {
	return bpf.Limits{Endpoints: 4, Networks: 4, VPCs: 4, Sets: 8, Peers: 4, Agents: 4, Allowed: 4, Directs: 64, Paths: 64, Traffic: 16}
}

// The nth of each.
func peerN(n int) Peer { return Peer{Prefix: netip.PrefixFrom(host(n), 32), Cookie: uint64(n)} }
func vpcN(n int) VPC   { return VPC{VNI: uint32(n + 1), Cookie: uint64(n)} }
func endpointN(n int) Endpoint {
	return Endpoint{VNI: vni, Addr: workload(n), Host: host(1), Cookie: uint64(n)}
}
func networkN(n int) Network {
	return Network{VNI: vni, Prefix: netip.PrefixFrom(workload(n), 32), Blackhole: true, Cookie: uint64(n)}
}
func agentN(n int) Agent {
	return Agent{Ifindex: n + 1, VNI: vni, MAC: mac, MTU: 1400, Cookie: uint64(n)}
}
func savedN(n int) Saved {
	return Saved{Ifindex: n + 1, Name: fmt.Sprint("eth", n), Role: RoleDroplet, Device: uint64(n)}
}
func dropletN(n int) Droplet {
	return Droplet{Ifindex: n + 1, Addrs: []netip.Addr{host(n)}, MTU: 1500, Cookie: uint64(n)}
}

// fullOf fills a table of room rows, and sees that one more is refused while those that are there can be
// replaced and removed.
func fullOf[K comparable, R any](t *testing.T, r *rig, table keyed[K, R], key func(R) K, room int, nth func(int) R, again func(error)) {
	t.Helper()
	for n := range room {
		require.NoError(t, table.Put(nth(n)))
	}
	before, refs := r.image(t), r.refs()
	for range 3 {
		require.ErrorIs(t, table.Put(nth(room)), ErrFull)
	}
	require.Equal(t, before, r.image(t))
	require.Equal(t, refs, r.refs())
	again(table.Put(nth(0)))
	require.Equal(t, before, r.image(t))
	require.NoError(t, table.Delete(key(nth(0))))
	require.NoError(t, table.Put(nth(room)))
	_, err := table.Get(key(nth(room)))
	require.NoError(t, err)
}

func TestT20FullTableIsATypedError(t *testing.T) {
	r := newRig(t, tight())
	replaced := func(err error) { require.NoError(t, err) }
	// Of tries, that holds for kernels since the end of 2024 only.
	mayFail := func(err error) {
		if err != nil {
			require.ErrorIs(t, err, ErrFull)
		}
	}
	fullOf(t, r, r.Peers, func(p Peer) netip.Prefix { return p.Prefix }, 4, peerN, mayFail)
	fullOf(t, r, r.VPCs, func(v VPC) uint32 { return v.VNI }, 4, vpcN, replaced)
	fullOf(t, r, r.Networks, Network.Key, 4, networkN, mayFail)
	fullOf(t, r, r.Endpoints, Endpoint.Key, 4, endpointN, replaced)
	require.ErrorIs(t, r.Endpoints.Insert(endpointN(9)), ErrFull)
	fullOf(t, r, r.Agents, func(a Agent) int { return a.Ifindex }, 4, agentN, replaced)

	var keys []uint32
	for n := range r.raw.Restore.MaxEntries() {
		keys = append(keys, 1000+n)
	}
	_, err := r.s.restore.putAll(keys, make([]bpf.TableRestore, len(keys)))
	require.NoError(t, err)
	require.ErrorIs(t, r.Restore.Put(savedN(0)), ErrFull)
}

func TestT20FullDroplets(t *testing.T) {
	limits := tight()
	limits.Traffic = 1024
	r := newRig(t, limits)
	key := func(d Droplet) int { return d.Ifindex }
	fullOf(t, r, r.Droplets, key, int(r.raw.Droplets.MaxEntries()), dropletN, func(err error) { require.NoError(t, err) })
}

// A row may need an entry of another table: without it there is no row, and nothing of it.
func TestT20FullTableBeside(t *testing.T) {
	many := func(n int) (addrs []netip.Addr) {
		for i := range n {
			addrs = append(addrs, host(i))
		}
		return addrs
	}
	prefixes := func(n int) (all []netip.Prefix) {
		for i := range n {
			all = append(all, netip.PrefixFrom(host(i), 32))
		}
		return all
	}
	for name, c := range map[string]struct {
		fill, more func(r *rig) error
	}{
		"addresses": {
			func(r *rig) error { return r.Droplets.Put(Droplet{Ifindex: 1, Addrs: many(1000), MTU: 1500}) },
			func(r *rig) error { return r.Droplets.Put(Droplet{Ifindex: 1, Addrs: many(1025), MTU: 9000}) },
		},
		"traffic": {
			func(r *rig) error {
				for n := range 15 { // slot 0 is nobody's
					if err := r.Droplets.Put(dropletN(n)); err != nil {
						return err
					}
				}
				return nil
			},
			func(r *rig) error { return r.Droplets.Put(dropletN(15)) },
		},
		"allowed": {
			func(r *rig) error {
				a := agentN(1)
				a.Allowed = prefixes(3)
				return r.Agents.Put(a)
			},
			func(r *rig) error {
				a := agentN(2)
				a.Allowed = prefixes(2)
				return r.Agents.Put(a)
			},
		},
		"sets, of a VPC": {
			func(r *rig) error { return r.fillSets() },
			func(r *rig) error { return r.VPCs.Put(VPC{VNI: 1, Dividers: hosts6}) },
		},
		"sets, of a network": {
			func(r *rig) error { return r.fillSets() },
			func(r *rig) error { return r.Networks.Put(Network{VNI: 1, Prefix: overlay, Bouncers: hosts6}) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tight())
			require.NoError(t, c.fill(r))
			before, refs := r.image(t), r.refs()
			require.ErrorIs(t, c.more(r), ErrFull)
			require.Equal(t, before, r.image(t))
			require.Equal(t, refs, r.refs())
		})
	}
}

// fillSets leaves no room in the table of sets, and some in those that name them.
func (r *rig) fillSets() error {
	for n := range 4 {
		if err := r.VPCs.Put(VPC{VNI: uint32(n + 1), Dividers: []netip.Addr{host(2 * n)}}); err != nil {
			return err
		}
	}
	for n := range 3 {
		err := r.Networks.Put(Network{VNI: 1, Prefix: netip.PrefixFrom(workload(n), 32), Bouncers: []netip.Addr{host(2*n + 1)}})
		if err != nil {
			return err
		}
	}
	return r.Networks.Put(Network{VNI: 2, Prefix: prefix("10.9.0.0/16"), Bouncers: hosts4})
}

// partOf puts more rows than there is room for: the first ones are there then, as many as the error says.
func partOf[K comparable, R any](t *testing.T, r *rig, table bulky[K, R], key func(R) K, room, more int, nth func(int) R) {
	t.Helper()
	var all []R
	for n := range room + more {
		all = append(all, nth(n))
	}
	err := table.PutAll(all)
	require.ErrorIs(t, err, ErrFull)
	require.ErrorContains(t, err, fmt.Sprintf(": %v: ", key(all[room])))
	require.ErrorContains(t, err, fmt.Sprintf("table is full (%d of %d done before)", room, room+more))
	there := map[K]R{}
	for _, row := range collect(t, table.All()) {
		there[key(row)] = row
	}
	require.Len(t, there, room)
	for _, row := range all[:room] {
		require.Equal(t, row, there[key(row)])
	}
}

func TestT20BulkThatDoesNotFitSaysHowFarItCame(t *testing.T) {
	r := newRig(t, tight())
	partOf(t, r, r.Peers, func(p Peer) netip.Prefix { return p.Prefix }, 4, 3, peerN)
	partOf(t, r, r.VPCs, func(v VPC) uint32 { return v.VNI }, 4, 3, vpcN)
	partOf(t, r, r.Networks, Network.Key, 4, 3, networkN)
	partOf(t, r, r.Endpoints, Endpoint.Key, 4, 3, endpointN)
	require.Empty(t, r.refs())
}

// The same where it is sets that there are too many of, and where many calls of the kernel's are needed.
func TestT20ManyThatDoNotFit(t *testing.T) {
	limits := tight()
	limits.VPCs, limits.Endpoints = 64, 2*batch+77
	r := newRig(t, limits)
	sets := func(n int) VPC { return VPC{VNI: uint32(n + 1), Dividers: []netip.Addr{host(n)}} }
	partOf(t, r, r.VPCs, func(v VPC) uint32 { return v.VNI }, 8, 20, sets)
	require.Len(t, r.refs(), 8)
	partOf(t, r, r.Endpoints, Endpoint.Key, 2*batch+77, batch, endpointN)

	// Sets that the call itself lets go make room for it: these are all new, and twice as many do not fit.
	var other []VPC
	for n := range 8 {
		other = append(other, VPC{VNI: uint32(n + 1), Dividers: []netip.Addr{host(100 + n)}})
	}
	require.ErrorIs(t, r.VPCs.PutAll(other), ErrFull)
	require.NoError(t, r.VPCs.DeleteAll([]uint32{8}))
	require.NoError(t, r.VPCs.PutAll(other[:7]))
	require.ElementsMatch(t, other[:7], collect(t, r.VPCs.All()))
	require.Len(t, r.refs(), 7)
}

// A full table of learned hosts loses the least used, and no call fails for it.
func TestT20LearnedHostsNeverFillUp(t *testing.T) {
	r := newRig(t, tight())
	r.ages(t)
	require.NoError(t, r.VPCs.Put(VPC{VNI: vni}))
	for n := range 10 * int(r.raw.Directs.MaxEntries()) {
		r.teach(t, EndpointKey{vni, workload(n)}, host(n))
	}
	all := collect(t, r.Directs.All())
	require.NotEmpty(t, all)
	require.LessOrEqual(t, len(all), int(r.raw.Directs.MaxEntries()))
	for _, d := range all {
		a := d.Addr.As4()
		require.Equal(t, host(int(binary.BigEndian.Uint32(a[:])-10<<24-1)), d.Host)
	}
	slices.SortFunc(all, func(a, b Direct) int { return a.Addr.Compare(b.Addr) })
	require.Equal(t, len(all), len(slices.CompactFunc(all, func(a, b Direct) bool { return a.Addr == b.Addr })))
}

// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
)

// Errors name the object, and of many the one.
func TestErrorsNameTheRow(t *testing.T) {
	r := newRig(t, small())
	_, err := r.Networks.Get(validNetwork().Key())
	require.EqualError(t, err, "get network 7/10.0.0.0/24: not found")
	err = r.Endpoints.PutAll([]Endpoint{validEndpoint(), {VNI: vni, Addr: addr("10.0.0.2")}})
	require.EqualError(t, err, "put endpoints: 7/10.0.0.2: invalid: an endpoint has either a host or an interface")
	err = r.VPCs.DeleteAll([]uint32{3, 4, 5})
	require.EqualError(t, err, "delete VPCs: 3 and 2 others of 3: not found")
}

// A row is the caller's: what is done to it later does not change the tables, nor the other way round.
func TestRowsAreNotShared(t *testing.T) {
	r := newRig(t, small())
	network, agent := validNetwork(), validAgent()
	require.NoError(t, r.Networks.Put(network))
	require.NoError(t, r.Agents.Put(agent))
	before := r.image(t)
	network.Bouncers[0], agent.Allowed[0], agent.MAC[5] = addr("192.0.2.77"), prefix("10.77.0.0/16"), 1
	for range 2 {
		n, err := r.Networks.Get(network.Key())
		require.NoError(t, err)
		a, err := r.Agents.Get(agent.Ifindex)
		require.NoError(t, err)
		require.Equal(t, before.Networks[0], n)
		require.Equal(t, before.Agents[0], a)
		n.Bouncers[0], a.Allowed[0], a.MAC[5] = addr("192.0.2.77"), prefix("10.77.0.0/16"), 1
	}
	require.Equal(t, before, r.image(t))
}

// Iteration ends where the caller says so, and may call anything meanwhile.
func TestIterationCallsBack(t *testing.T) {
	r := newRig(t, small())
	for n := range 20 {
		require.NoError(t, r.Endpoints.Put(Endpoint{VNI: vni, Addr: workload(n), Host: host(1)}))
		require.NoError(t, r.Peers.Put(Peer{Prefix: netip.PrefixFrom(host(n), 32)}))
	}
	for e, err := range r.Endpoints.All() {
		require.NoError(t, err)
		require.NoError(t, r.Endpoints.Delete(e.Key()))
	}
	require.Empty(t, collect(t, r.Endpoints.All()))
	left := 20
	for p, err := range r.Peers.All() {
		require.NoError(t, err)
		require.NoError(t, r.Peers.Delete(p.Prefix))
		if left--; left == 5 {
			break
		}
	}
	require.Len(t, collect(t, r.Peers.All()), 5)
	// What goes after the iteration began is not shown.
	var shown int
	for _, err := range r.Peers.All() {
		require.NoError(t, err)
		if shown++; shown == 1 {
			for p, err := range r.Peers.All() {
				require.NoError(t, err)
				require.NoError(t, r.Peers.Delete(p.Prefix))
			}
		}
	}
	require.LessOrEqual(t, shown, 5)
	require.Empty(t, collect(t, r.Peers.All()))
}

func TestClosed(t *testing.T) {
	r := newRig(t, small())
	r.fill(t)
	reader := r.reader(t)
	require.NoError(t, reader.Close())
	require.NoError(t, r.Tables.Close())
	require.NoError(t, r.Tables.Close(), "again")
	for _, tables := range []*Tables{r.Tables, reader} {
		_, err := tables.VPCs.Get(vni)
		require.ErrorIs(t, err, ErrClosed)
		_, err = tables.Counters.Get(0)
		require.ErrorIs(t, err, ErrClosed)
		_, err = tables.Events.Lost()
		require.ErrorIs(t, err, ErrClosed)
		for _, err := range tables.Endpoints.All() {
			require.ErrorIs(t, err, ErrClosed)
		}
		for _, err := range tables.Peers.All() {
			require.ErrorIs(t, err, ErrClosed)
		}
	}
	require.ErrorIs(t, r.VPCs.Put(validVPC()), ErrClosed)
	require.ErrorIs(t, r.Endpoints.Delete(validEndpoint().Key()), ErrClosed)
	for _, err := range r.Events.Read(t.Context()) {
		require.ErrorIs(t, err, ErrClosed)
	}
	// The rows are there.
	r.Tables = open(t, r.raw)
	require.Len(t, r.image(t).Agents, 1)

	// Below closed tables, the maps may go.
	raw, err := bpf.NewTables(small())
	require.NoError(t, err)
	tables, err := Open(raw)
	require.NoError(t, err)
	require.NoError(t, raw.Close())
	require.ErrorIs(t, tables.Peers.Put(validPeer()), ErrClosed)
}

// Whoever opens the tables next sees the same rows, down to the cookies.
func TestRowsOutliveTheWriter(t *testing.T) {
	r := newRig(t, small())
	r.fill(t)
	require.NoError(t, r.VPCs.Put(VPC{VNI: 1<<24 - 1, Dividers: hosts4[1:]}))
	before := r.image(t)
	r.reopen(t)
	require.Equal(t, before, r.image(t))
	// Slots are taken still.
	require.NoError(t, r.Agents.Put(Agent{Ifindex: 9, VNI: vni, MAC: mac, MTU: 1400}))
	slots := map[uint32]bool{}
	for _, a := range collect(t, r.Agents.All()) {
		slots[a.Traffic] = true
	}
	for _, d := range collect(t, r.Droplets.All()) {
		slots[d.Traffic] = true
	}
	require.Len(t, slots, 3)
	require.NotContains(t, slots, uint32(0))
	require.Equal(t, before.Slots+1, r.image(t).Slots)
}

// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
)

// epoch is what programs compare with.
func (r *rig) epoch(t testing.TB) (e uint64) {
	t.Helper()
	require.NoError(t, r.raw.Epochs.Lookup(bpf.TableEpochEPOCH_TABLES, &e))
	return e
}

// Programs look again after every change, also after one that came to half; not because somebody read.
func TestEveryChangeIsAnEpoch(t *testing.T) {
	r := newRig(t, small())
	droplet := Droplet{Ifindex: 1, Addrs: hosts4[:1], MTU: 1500}
	peer := Peer{Prefix: netip.PrefixFrom(hosts4[0], 24).Masked()}
	ep := Endpoint{VNI: vni, Addr: workload(1), Host: hosts4[1]}
	changes := []struct {
		name string
		do   func() error
		fail bool
	}{
		{"settings", func() error { return r.Settings.Put(Settings{}) }, false},
		{"droplet", func() error { return r.Droplets.Put(droplet) }, false},
		{"peer", func() error { return r.Peers.Put(peer) }, false},
		{"VPC", func() error { return r.VPCs.Put(VPC{VNI: vni}) }, false},
		{"network", func() error { return r.Networks.Put(Network{VNI: vni, Prefix: overlay, Bouncers: hosts4[1:2]}) }, false},
		{"agent", func() error { return r.Agents.Put(Agent{Ifindex: 2, VNI: vni, MAC: mac, MTU: 1400}) }, false},
		{"endpoint", func() error { return r.Endpoints.Put(ep) }, false},
		{"no such endpoints", func() error { return r.Endpoints.DeleteAll([]EndpointKey{{vni, workload(1)}, {vni, workload(2)}}) }, true},
		{"endpoint is gone", func() error { return r.Endpoints.Delete(EndpointKey{vni, workload(3)}) }, true},
		{"agent is gone", func() error { return r.Agents.Delete(2) }, false},
		{"peer is gone", func() error { return r.Peers.Delete(peer.Prefix) }, false},
		{"droplet is gone", func() error { return r.Droplets.Delete(1) }, false},
		{"another process", func() error { open(t, r.raw); return nil }, false},
	}
	for _, c := range changes {
		was := r.epoch(t)
		err := c.do()
		require.Equal(t, c.fail, err != nil, "%s: %v", c.name, err)
		require.Greater(t, r.epoch(t), was, c.name)
	}
	was := r.epoch(t)
	_, err := r.Settings.Get()
	require.NoError(t, err)
	for _, err := range r.Endpoints.All() {
		require.NoError(t, err)
	}
	require.Equal(t, was, r.epoch(t))
}

// What is done after the tables have settled, programs do not undo by what they kept. First there is an epoch, which
// one that is under way sees when it looks next; then it is waited for.
func TestSettled(t *testing.T) {
	r := newRig(t, small())
	was := r.epoch(t)
	h := testutil.Hold(t, r.raw.Epochs, bpf.TableEpochEPOCH_TABLES, testutil.CopyHalf(0))
	require.NoError(t, r.s.settled())
	h.RequireDone(t)
	row := h.Row(t)
	require.Greater(t, binary.NativeEndian.Uint64(row[:8]), was, "of the program, in the end")
}

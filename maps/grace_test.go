// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"net/netip"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
)

// firstMember is what a program that holds a set read in the end.
func firstMember(t testing.TB, h *testutil.Held) netip.Addr {
	t.Helper()
	return fromWire(bpf.TableAddress{Bytes: h.Row(t)})
}

// copyMember has it read one.
func copyMember() asm.Instructions {
	return testutil.CopyRow(int16(unsafe.Offsetof(bpf.TableSet{}.Members)))
}

func (r *rig) setOf(t testing.TB, vni uint32) uint32 {
	t.Helper()
	row, err := r.s.vpcs.get(vni)
	require.NoError(t, err)
	return row.Set
}

// A set that no row names any more may be in a program's hands. Neither its id nor its memory serves
// another before that has ended: here, where the table is full.
func TestT17SetIsNotReusedWhileRead(t *testing.T) {
	limits := small()
	limits.Sets = 2
	r := newRig(t, limits)
	put := func(hosts ...netip.Addr) {
		t.Helper()
		require.NoError(t, r.VPCs.Put(VPC{VNI: vni, Dividers: hosts}))
	}
	put(host(1))
	id := r.setOf(t, vni)
	h := testutil.Hold(t, r.raw.Sets, id, copyMember())
	put(host(2))
	_, err := r.s.sets.table.get(id)
	require.NoError(t, err, "freed at once")
	put(host(3)) // takes the room of the first
	h.RequireDone(t)
	require.Equal(t, host(1), firstMember(t, h))
	_, err = r.s.sets.table.get(id)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestT17SetIsNotFreedWhileRead(t *testing.T) {
	r := newRig(t, small())
	require.NoError(t, r.Networks.Put(Network{VNI: vni, Prefix: prefix("10.0.0.0/24"), Bouncers: hosts4[:1]}))
	id := r.s.networks.rows[toNetworkKey(NetworkKey{vni, prefix("10.0.0.0/24")})].Set
	h := testutil.Hold(t, r.raw.Sets, id, copyMember())
	require.NoError(t, r.Networks.Delete(NetworkKey{vni, prefix("10.0.0.0/24")}))
	require.Equal(t, 1, count(t, r.s.sets.table))
	require.NoError(t, r.Tables.Close())
	h.RequireDone(t)
	require.Equal(t, hosts4[0], firstMember(t, h))
	require.Zero(t, count(t, r.s.sets.table))
}

// A set that says whether this host is in it changes by a twin; without room for one, in its place. Then
// nothing else is written before nobody reads what was there.
func TestT17SetIsMarkedWhileRead(t *testing.T) {
	for name, sets := range map[string]uint32{"by a twin": 2, "in its place": 1} {
		t.Run(name, func(t *testing.T) {
			limits := small()
			limits.Sets = sets
			r := newRig(t, limits)
			require.NoError(t, r.VPCs.Put(VPC{VNI: vni, Dividers: hosts4[:1]}))
			h := testutil.Hold(t, r.raw.Sets, r.setOf(t, vni), copyMember())
			require.NoError(t, r.Droplets.Put(Droplet{Ifindex: 3, Addrs: hosts4[:1], MTU: 1500}))
			require.True(t, r.image(t).Marks[r.setOf(t, vni)])
			if sets == 1 {
				h.RequireDone(t)
			}
			h.Wait(t)
			require.Equal(t, hosts4[0], firstMember(t, h))
		})
	}
}

// learn is what a program does that learns: with the VPC's generation as it finds it then.
func (r *rig) learn(t testing.TB, key EndpointKey, host netip.Addr) asm.Instructions {
	t.Helper()
	var direct bpf.TableDirect
	at := struct{ vni, key, direct int16 }{testutil.HeldFree - 8, testutil.HeldFree - 32, testutil.HeldFree - 32 - int16(unsafe.Sizeof(direct))}
	direct.Host = toWire(host)
	code := testutil.OnStack(t, at.vni, key.VNI)
	code = append(code, testutil.OnStack(t, at.key, toEndpointKey(key))...)
	code = append(code, testutil.OnStack(t, at.direct, direct)...)
	code = append(code, testutil.LookUp(r.raw.VPCs, at.vni)...)
	return append(code,
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.LoadMem(asm.R1, asm.R0, int16(unsafe.Offsetof(bpf.TableVpc{}.Generation)), asm.DWord),
		asm.StoreMem(asm.RFP, at.direct+int16(unsafe.Offsetof(direct.Generation)), asm.R1, asm.DWord),
		asm.FnKtimeGetNs.Call(),
		asm.StoreMem(asm.RFP, at.direct+int16(unsafe.Offsetof(direct.Seen)), asm.R0, asm.DWord),
		asm.LoadMapPtr(asm.R1, r.raw.Directs.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, int32(at.key)),
		asm.Mov.Reg(asm.R3, asm.RFP),
		asm.Add.Imm(asm.R3, int32(at.direct)),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnMapUpdateElem.Call(),
	)
}

// A packet that was let in as a peer's, and teaches after the peer has been deleted.
func TestT11PacketOfADeletedPeerTeachesNothing(t *testing.T) {
	r := newRig(t, small())
	r.ages(t)
	require.NoError(t, r.VPCs.Put(validVPC()))
	require.NoError(t, r.Peers.PutAll([]Peer{{Prefix: prefix("192.0.2.0/24")}, {Prefix: prefix("198.51.100.0/24")}}))
	key := EndpointKey{vni, workload(1)}
	h := testutil.Hold(t, r.raw.Peers, toPeerKey(prefix("192.0.2.0/24")), r.learn(t, key, addr("192.0.2.1")))
	require.NoError(t, r.Peers.Delete(prefix("192.0.2.0/24")))
	h.RequireDone(t)
	require.Zero(t, count(t, r.s.directs))
}

// The same where a network ends the direct path.
func TestT10PacketOfAChangedNetworkTeachesNothing(t *testing.T) {
	r := newRig(t, small())
	r.ages(t)
	require.NoError(t, r.VPCs.Put(validVPC()))
	require.NoError(t, r.Networks.Put(validNetwork()))
	key := EndpointKey{vni, addr("10.0.0.9")}
	h := testutil.Hold(t, r.raw.Networks, toNetworkKey(validNetwork().Key()), r.learn(t, key, addr("192.0.2.1")))
	changed := validNetwork()
	changed.NoDirectPath = true
	require.NoError(t, r.Networks.Put(changed))
	h.RequireDone(t)
	require.Equal(t, 1, count(t, r.s.directs))
	_, err := r.Directs.Get(key)
	require.ErrorIs(t, err, ErrNotFound)
}

// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/testutil"
)

func (r *rig) given() []Address {
	r.t.Helper()
	all, err := r.again().Addresses(r.t.Context())
	require.NoError(r.t, err)
	return all
}

// Addresses are given, known after a restart, and taken away.
func TestAddress(t *testing.T) {
	r := newRig(t)
	before := r.state()
	want := []Address{
		{"x", prefix("192.0.2.1/24")}, {"x", prefix("198.51.100.1/32")}, {"x", prefix("2001:db8:1::1/64")}, {"y", prefix("192.0.2.1/31")},
	}
	for _, i := range []int{2, 0, 3, 1} {
		r.address(Added, want[i])
	}
	require.Equal(t, want, r.given())
	others, err := plumber(t, r.ns, "default", nil).Addresses(t.Context())
	require.NoError(t, err)
	require.Empty(t, others)
	for _, a := range want {
		require.NoError(t, r.again().RemoveAddress(t.Context(), a))
		require.ErrorIs(t, r.RemoveAddress(t.Context(), a), ErrNotFound)
	}
	require.Equal(t, before, r.state())
}

// Those of others stay, also where the kernel would take them away with one of ours.
func TestAddressOfOthers(t *testing.T) {
	r := newRig(t)
	testutil.Sysctl(t, r.ns, "net/ipv4/conf/all/promote_secondaries", "0")
	testutil.Sysctl(t, r.ns, "net/ipv4/conf/x/promote_secondaries", "0")
	testutil.Addr(t, r.ns, "x", "198.51.100.1/24", "2001:db8:2::1/64")
	r.address(Added, Address{"x", prefix("192.0.2.1/24")})
	testutil.Addr(t, r.ns, "x", "192.0.2.2/24")
	r.address(Added, Address{"x", prefix("198.51.100.2/24")})
	r.address(Added, Address{"x", prefix("2001:db8:2::2/64")})
	before := r.state()
	for _, a := range []Address{{"x", prefix("198.51.100.1/24")}, {"x", prefix("2001:db8:2::1/64")}, {"lo", prefix("127.0.0.1/8")}} {
		_, err := r.AddAddress(t.Context(), a)
		require.ErrorIs(t, err, ErrNotOurs, a)
		require.ErrorIs(t, r.RemoveAddress(t.Context(), a), ErrNotFound, a)
	}
	for _, tc := range []struct {
		a    Address
		want error
	}{
		{Address{"none", prefix("10.0.0.1/8")}, ErrNotFound},
		{Address{"", prefix("10.0.0.1/8")}, ErrInvalid},
		{Address{"x", prefix("0.0.0.0/8")}, ErrInvalid},
		{Address{"x", prefix("10.0.0.1/0")}, ErrInvalid},
		{Address{"x", prefix("224.0.0.1/8")}, ErrInvalid},
		{Address{Interface: "x"}, ErrInvalid},
		{Address{"x", prefix("2001:db8:2::2/48")}, ErrExists},
		{Address{"x", prefix("2001:db8:2::1/48")}, ErrNotOurs},
	} {
		_, err := r.AddAddress(t.Context(), tc.a)
		require.ErrorIs(t, err, tc.want, "%+v", tc.a)
	}
	require.Equal(t, before, r.state())
	require.NoError(t, r.RemoveAddress(t.Context(), Address{"x", prefix("192.0.2.1/24")}))
	require.Len(t, r.state(), len(before)-1, "no other goes with the first of a network")
	require.Equal(t, "0", testutil.ReadSysctl(t, r.ns, "net/ipv4/conf/x/promote_secondaries"))
	require.NoError(t, r.RemoveAddress(t.Context(), Address{"x", prefix("198.51.100.2/24")}))
	require.ErrorIs(t, r.RemoveAddress(t.Context(), Address{"x", prefix("192.0.2.2/24")}), ErrNotFound, "it is there still")
}

func TestAddressFaults(t *testing.T) {
	r := newRig(t)
	for _, a := range []string{"192.0.2.1/24", "2001:db8:1::1/64"} {
		r.faults(r.Plumber, func(ctx context.Context) error {
			_, err := r.AddAddress(ctx, Address{"x", prefix(a)})
			return err
		})
	}
}

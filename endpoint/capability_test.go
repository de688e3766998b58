// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
)

// Which capability is missing is said before anything is touched.
func TestMissingCapability(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	cniVeth(t, r, r.host)
	ns := testutil.NewNS(t)
	before := r.snapshot(ns)
	r.failAt = func(step string) error {
		t.Errorf("it came to %s", step)
		return nil
	}
	for _, c := range []struct {
		name   string
		config Config
		bits   [2]int
	}{
		{"CAP_NET_ADMIN", dual(r.host), [2]int{unix.CAP_NET_ADMIN, unix.CAP_NET_ADMIN}},
		{"CAP_NET_ADMIN", adopted("cni0"), [2]int{unix.CAP_NET_ADMIN, unix.CAP_NET_ADMIN}},
		{"CAP_BPF", dual(r.host), [2]int{unix.CAP_BPF, unix.CAP_SYS_ADMIN}},
		{"CAP_BPF", adopted("cni0"), [2]int{unix.CAP_BPF, unix.CAP_SYS_ADMIN}},
		{"CAP_SYS_ADMIN", dual(ns), [2]int{unix.CAP_SYS_ADMIN, unix.CAP_SYS_ADMIN}},
	} {
		// In the thread's own namespace already, the Manager stays on the thread.
		testutil.In(t, r.host, func() error {
			testutil.Without(t, c.bits[0], func() {
				testutil.Without(t, c.bits[1], func() {
					_, err := r.Create(t.Context(), c.config)
					require.ErrorIs(t, err, bpf.ErrPermission)
					require.ErrorContains(t, err, "it takes "+c.name)
				})
			})
			return nil
		})
		require.Equal(t, before, r.snapshot(ns))
	}
}

// Delete goes as far as it can: the rows are gone by then, the rest is there for one who may.
func TestDeleteWithoutCapability(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	before := r.snapshot(ns)
	e := r.create(dual(ns))
	testutil.In(t, r.host, func() error {
		testutil.Without(t, unix.CAP_NET_ADMIN, func() {
			err := r.Delete(t.Context(), e.HostInterface)
			require.ErrorIs(t, err, bpf.ErrPermission)
			require.ErrorContains(t, err, "CAP_NET_ADMIN")
		})
		return nil
	})
	all := locals(t, r.Manager)
	require.Len(t, all, 1)
	require.True(t, all[0].Partial)
	require.NoError(t, r.Delete(t.Context(), e.HostInterface))
	require.Equal(t, before, r.snapshot(ns))
}

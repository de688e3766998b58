// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
)

// Where the kernel refuses for want of CAP_NET_ADMIN, the error says so, and nothing has changed.
func TestMissingCapability(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	cniVeth(t, r, r.host)
	before := r.snapshot()
	for name, c := range map[string]Config{"create": dual(r.host), "adopt": adopted("cni0")} {
		t.Run(name, func(t *testing.T) {
			// In the thread's own namespace, all of it happens on the thread.
			testutil.In(t, r.host, func() error {
				return without(t, unix.CAP_NET_ADMIN, func() {
					_, err := r.Create(t.Context(), c)
					require.ErrorIs(t, err, bpf.ErrPermission)
					require.ErrorContains(t, err, "CAP_NET_ADMIN")
				})
			})
			require.Equal(t, before, r.snapshot())
		})
	}
}

// without runs f on the calling thread, which must be locked, with a capability off for the while.
func without(t *testing.T, bit int, f func()) error {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all [2]unix.CapUserData
	if err := unix.Capget(&header, &all[0]); err != nil {
		return err
	}
	less := all
	less[bit/32].Effective &^= 1 << (bit % 32)
	if err := unix.Capset(&header, &less[0]); err != nil {
		return err
	}
	defer func() { require.NoError(t, unix.Capset(&header, &all[0])) }()
	f()
	return nil
}

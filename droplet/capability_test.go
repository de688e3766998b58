// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
)

// Which capability is missing is said before anything is touched.
func TestMissingCapability(t *testing.T) {
	p, _ := newHost(t)
	before := p.snapshot(t)
	p.failAt = func(step string) error {
		t.Errorf("it came to %s", step)
		return nil
	}
	for bit, name := range map[int]string{unix.CAP_NET_ADMIN: "CAP_NET_ADMIN", unix.CAP_BPF: "CAP_BPF"} {
		// In the thread's own namespace already, the Manager stays on the thread.
		testutil.In(t, p.ns, func() error {
			testutil.Without(t, unix.CAP_SYS_ADMIN, func() {
				testutil.Without(t, bit, func() {
					_, err := p.Attach(t.Context(), Config{Interface: "up0"})
					require.ErrorIs(t, err, bpf.ErrPermission)
					require.ErrorContains(t, err, "it takes "+name)
				})
			})
			return nil
		})
		require.Equal(t, before, p.snapshot(t))
	}
	p.failAt = nil
	testutil.Without(t, unix.CAP_SYS_ADMIN, func() {
		_, err := p.Attach(t.Context(), Config{Interface: "up0"})
		require.NoError(t, err, "goroutines of their own run on other threads")
	})
	p.detach(t)
}

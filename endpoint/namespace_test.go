// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// Each way to name the workload's namespace leads there.
func TestNamespaces(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)

	path := filepath.Join(t.TempDir(), "blue")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, unix.Mount(fmt.Sprintf("/proc/self/fd/%d", ns.FD()), path, "", unix.MS_BIND, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(path, 0)) })

	sleeper := exec.Command(os.Args[0])
	sleeper.Env = append(os.Environ(), victimEnv+"=wait")
	stdin, err := sleeper.StdinPipe()
	require.NoError(t, err)
	testutil.In(t, ns, sleeper.Start)
	t.Cleanup(func() {
		require.NoError(t, stdin.Close())
		require.NoError(t, sleeper.Wait())
	})

	for name, n := range map[string]NetNS{"path": Path(path), "fd": FD(ns.FD()), "pid": PID(sleeper.Process.Pid)} {
		t.Run(name, func(t *testing.T) {
			c := dual(ns)
			c.NetNS = n
			e := r.create(c)
			require.True(t, testutil.Exists(t, ns, "eth0"))
			require.NoError(t, r.Delete(t.Context(), e.HostInterface))
			require.False(t, testutil.Exists(t, ns, "eth0"))
		})
	}

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	before := r.snapshot(ns)
	for name, tc := range map[string]struct {
		ns   NetNS
		want error
	}{
		"no path":     {Path(filepath.Join(t.TempDir(), "none")), maps.ErrNotFound},
		"no process":  {PID(1 << 30), maps.ErrNotFound},
		"not one":     {Path(file), maps.ErrInvalid},
		"process 0":   {PID(0), maps.ErrNotFound},
		"descriptors": {FD(r.raw.Agents.FD()), maps.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			c := dual(ns)
			c.NetNS = tc.ns
			_, err := r.Create(t.Context(), c)
			require.ErrorIs(t, err, tc.want)
		})
	}
	require.Equal(t, before, r.snapshot(ns))
}

// Both ends in one namespace: no short cut into the peer, and no default route of ours.
func TestOwnNamespace(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	c := dual(r.host)
	for name, n := range map[string]NetNS{"zero": {}, "named": FD(r.host.FD())} {
		t.Run(name, func(t *testing.T) {
			before := r.snapshot()
			c.NetNS = n
			e := r.create(c)
			a, err := r.tables.Agents.Get(e.Ifindex)
			require.NoError(t, err)
			require.False(t, a.PeerNetNS)
			testutil.In(t, r.host, func() error {
				_, err := netlink.RouteGet(net.ParseIP("203.0.113.77"))
				require.ErrorIs(t, err, unix.ENETUNREACH)
				return nil
			})
			require.NoError(t, r.Delete(t.Context(), e.HostInterface))
			require.Equal(t, before, r.snapshot())
		})
	}
	c.HostInterface = "eth0"
	_, err := r.Create(t.Context(), c)
	require.ErrorIs(t, err, maps.ErrInvalid)
}

// The namespace of a manager that was given none is the thread's.
func TestThreadNamespace(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	r.Manager.netns = nil
	before := r.snapshot(ns)
	testutil.In(t, r.host, func() error {
		e := r.create(dual(ns))
		require.True(t, testutil.Exists(t, r.host, e.HostInterface))
		return r.Delete(t.Context(), e.HostInterface)
	})
	require.Equal(t, before, r.snapshot(ns))
}

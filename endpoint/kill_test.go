// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// victimEnv makes the test binary another process: one that waits, or one that creates an endpoint and is
// killed at a step of it.
const victimEnv = "MIZAR_ENDPOINT_VICTIM"

const (
	victimHost     = 3 // descriptors that it gets
	victimWorkload = 4
)

// victim is that process. What it is to do: wait, or the step to die at, the mode and where the pins are.
func victim() int {
	what := os.Getenv(victimEnv)
	if what == "wait" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	}
	if err := create(strings.Split(what, "|")); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1 // it should have been killed
}

func create(args []string) error {
	var step int
	var mode Mode
	var adopt bool
	if _, err := fmt.Sscanf(args[0], "%d %d %t", &step, &mode, &adopt); err != nil {
		return err
	}
	host, err := netns.FromFD(victimHost)
	if err != nil {
		return err
	}
	workload, err := netns.FromFD(victimWorkload)
	if err != nil {
		return err
	}
	raw, err := bpf.LoadPinnedTables(filepath.Join(args[1], "tables"))
	if err != nil {
		return err
	}
	tables, err := maps.Open(raw)
	if err != nil {
		return err
	}
	programs, err := droppers()
	if err != nil {
		return err
	}
	m, err := NewManager(tables, programs, Options{Links: filepath.Join(args[1], "links"), NetNS: host})
	if err != nil {
		return err
	}
	m.failAt = nth(step, func() error { return unix.Kill(unix.Getpid(), unix.SIGKILL) })
	c := full(workload, mode)
	if adopt {
		c.Adopt, c.Routes = true, nil
	}
	_, err = m.Create(context.Background(), c)
	return errors.Join(err, errors.New("alive"))
}

// killed runs a victim, and opens the tables that it was at anew.
func (r *rig) killed(ns *netns.Handle, step int, mode Mode, adopt bool) *Manager {
	r.t.Helper()
	require.NoError(r.t, r.tables.Close())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %t|%s", victimEnv, step, mode, adopt, r.pins))
	cmd.ExtraFiles = []*os.File{dup(r.t, r.host), dup(r.t, ns)}
	out, err := cmd.CombinedOutput()
	for _, f := range cmd.ExtraFiles {
		require.NoError(r.t, f.Close())
	}
	var exit *exec.ExitError
	require.ErrorAs(r.t, err, &exit, "%s", out)
	require.Equal(r.t, "signal: killed", exit.String(), "%s", out)
	r.tables = r.open(r.raw)
	r.Manager = r.manager(r.tables, r.programs)
	return r.Manager
}

func dup(t testing.TB, ns *netns.Handle) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(ns.FD()), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	return os.NewFile(uintptr(fd), "netns")
}

// Killed at any step of Create, the process leaves nothing that another cannot see and delete.
func TestKilled(t *testing.T) {
	for _, tc := range []struct {
		mode  Mode
		adopt bool
	}{{TCX, false}, {Native, false}, {TCX, true}, {Native, true}} {
		t.Run(fmt.Sprintf("%s, adopted %t", tc.mode, tc.adopt), func(t *testing.T) {
			r := newRig(t, bpf.Limits{})
			ns := testutil.NewNS(t)
			require.NoError(t, r.raw.Pin(filepath.Join(r.pins, "tables")))
			c := full(ns, tc.mode)
			if tc.adopt {
				testutil.Veth(t, r.host, c.HostInterface, ns, c.Interface)
				testutil.Up(t, r.host, c.HostInterface)
				testutil.Up(t, ns, c.Interface)
				testutil.MTU(t, ns, 2000, c.Interface)
				testutil.Eventually(t, settleTimeout, func() error { return settled(r.host, c.HostInterface) })
				c.Adopt, c.Routes = true, nil
			}
			creating, _ := r.steps(c)
			before := r.snapshot(ns)
			for i, step := range creating {
				t.Run(step, func(t *testing.T) {
					m := r.killed(ns, i, tc.mode, tc.adopt)
					all := locals(t, m)
					if step == "record" { // before it
						require.Empty(t, all)
					} else {
						require.Len(t, all, 1)
						require.Equal(t, step != "done", all[0].Partial)
						require.Equal(t, tc.adopt, all[0].Adopted)
						require.NoError(t, m.Delete(t.Context(), c.HostInterface))
					}
					require.Equal(t, before, r.snapshot(ns))
				})
			}
		})
	}
}

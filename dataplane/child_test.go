// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/maps"
)

// A child is this test's binary, run again, that has an instance open when it is killed.
const (
	childMode    = "MIZAR_TEST_CHILD" // what it does
	childBPFFS   = "MIZAR_TEST_BPFFS"
	childDroplet = "MIZAR_TEST_MODE" // of droplets, as a number; empty: tcx

	hold     = "hold"     // fills the instance and waits
	upgrade  = "upgrade"  // replaces the programs, and stops before it is done
	building = "building" // makes the instance, and stops before it is published
	function = "function" // is a function in user space, in the first namespace
)

// Descriptors that it inherits.
const (
	childNS       = 3
	childWorkload = 4
)

// child says "ready" when it is, and ends with its standard input, should nobody kill it.
func child(mode string) int {
	if err := childRun(context.Background(), mode); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func childRun(ctx context.Context, mode string) error {
	wait := func() error {
		fmt.Println("ready")
		_, err := io.Copy(io.Discard, os.Stdin)
		return errors.Join(err, errors.New("nobody killed me"))
	}
	if mode == function {
		e, err := newEcho(ctx, fdPath(childNS), filepath.Join(os.Getenv(childBPFFS), function))
		if err != nil {
			return err
		}
		defer e.stop()
		return wait()
	}
	at := map[string]string{upgrade: "exchange", building: "publish"}[mode]
	a, b := &host{name: "a", bpffs: os.Getenv(childBPFFS), addr: addrA}, &host{addr: addrB}
	c := a.config()
	c.NetNS = fdPath(childNS)
	dp, err := open(ctx, c, func(step string) error {
		if step == at {
			return wait()
		}
		return nil
	})
	if err != nil {
		return err
	}
	in := droplet.TCX
	if mode, err := strconv.Atoi(os.Getenv(childDroplet)); err == nil {
		in = droplet.Mode(mode)
	}
	if err := contentsOf(a, b, 1, 2).fill(ctx, dp, in, endpoint.FD(childWorkload)); err != nil {
		return err
	}
	return wait()
}

// killed runs a child until it is ready, and kills it.
func (h *host) killed(t testing.TB, mode string, workload *netns.Handle) {
	t.Helper()
	h.held(t, mode, workload)()
}

// held runs a child until it is ready. The function returned kills it.
func (h *host) held(t testing.TB, mode string, workload *netns.Handle, env ...string) (kill func()) {
	t.Helper()
	end := h.child(t, mode, env, h.ns, workload)
	return func() {
		t.Helper()
		_, err := open(t.Context(), h.config(), nil)
		require.ErrorIs(t, err, ErrLocked)
		end()
	}
}

// child runs a child, that has namespaces, until it is ready. The function returned kills it.
func (h *host) child(t testing.TB, mode string, env []string, namespaces ...*netns.Handle) (kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), childMode+"="+mode, childBPFFS+"="+h.bpffs), env...)
	for _, ns := range namespaces {
		fd, err := unix.FcntlInt(uintptr(ns.FD()), unix.F_DUPFD_CLOEXEC, 0)
		require.NoError(t, err)
		f := os.NewFile(uintptr(fd), "netns")
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	_, err := cmd.StdinPipe() // closed by Wait, or by our death
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "ready\n" {
		require.Error(t, cmd.Wait())
		t.Fatalf("the child says %q, %v", line, err)
	}
	return func() {
		t.Helper()
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
	}
}

// foreign makes the instance one of another build's programs.
func (h *host) foreign(t testing.TB) {
	t.Helper()
	h.putBuild(t, bpf.Build()^2)
}

// putBuild changes which programs the instance is said to have.
func (h *host) putBuild(t testing.TB, build uint64) {
	t.Helper()
	tables, err := bpf.LoadPinnedTables(h.pins().tables())
	require.NoError(t, err)
	defer tables.Close()
	rows, err := maps.Open(tables)
	require.NoError(t, err)
	s, err := rows.Settings.Get()
	require.NoError(t, err)
	s.Build = build
	require.NoError(t, rows.Settings.Put(s))
	require.NoError(t, rows.Close())
}

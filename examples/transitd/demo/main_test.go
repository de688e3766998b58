// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/internal/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.VerifyMain(m)) }

// The demo from end to end, with what it builds itself; the daemons' race detector is ours.
func TestRun(t *testing.T) {
	testutil.Root(t)
	leaks(t)
	t.Setenv("GOFLAGS", os.Getenv("GOFLAGS")+raceFlag)
	var out bytes.Buffer
	err := run(t.Context(), &out, "")
	t.Log("\n" + out.String())
	require.NoError(t, err)
	for _, want := range []string{
		"manager$ transitctl --context a apply -f host-a.yaml\n", "10 added", "nothing to change; 16 unchanged", "Nothing of it was done",
		"blue-b → blue-a  2001:db8::1", "blue, at the same addresses, heard 0 frames", "SEND_DIRECT to 192.0.2.2",
		"DROP_SPOOF_ADDRESS, vni 7, 10.0.0.66 > 10.0.0.2", "PERMISSION_DENIED", "UNAUTHENTICATED", "kill -9", "its interface is gone",
		"came back, 0 were lost", "No daemon runs", "transitd -destroy", "All as it should be, and all is gone.",
	} {
		require.Contains(t, out.String(), want)
	}
}

// Ctrl-C at any point: it stops there, says so, and everything is taken down.
func TestInterrupt(t *testing.T) {
	testutil.Root(t)
	bin := t.TempDir()
	require.NoError(t, compile(t.Context(), bin))
	for _, said := range []string{"one switch.", "context a is set", "transitd -config transitd-c", "heard 0 frames"} {
		t.Run(said, func(t *testing.T) {
			leaks(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			require.ErrorIs(t, run(ctx, testutil.Trigger{On: said, Do: cancel}, bin), context.Canceled)
		})
	}
}

// What is not as it should be is an error, and all is gone as well.
func TestFail(t *testing.T) {
	testutil.Root(t)
	leaks(t)
	require.ErrorContains(t, run(t.Context(), &bytes.Buffer{}, t.TempDir()), "no such file")
}

// leaks fails the test if the process holds more at its end, or if pins, namespaces or files of this process are left.
func leaks(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	testutil.Leaks(t)
	testutil.NoFiles(t, filepath.Join(dataplane.DefaultBPFFS, "mizar", instance("*")), lab.NamePath(unique()+"*"), filepath.Join(os.TempDir(), "*"))
}

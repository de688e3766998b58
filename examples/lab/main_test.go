// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/stretchr/testify/require"
)

// asProgram has the test's binary be the program itself, for what has to be killed.
const asProgram = "MIZAR_LAB_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(testutil.VerifyMain(m))
}

var labs atomic.Int32

// newName is a lab's that nothing else on this machine has. The test fails if anything of it is left at
// its end.
func newName(t *testing.T) string {
	t.Helper()
	testutil.Root(t)
	testutil.Leaks(t)
	name := fmt.Sprintf("t%d-%d", os.Getpid(), labs.Add(1))
	t.Cleanup(func() {
		if left := leftOf(t, name); len(left) != 0 {
			t.Errorf("left behind: %s", left)
			_ = down(t.Context(), io.Discard, name)
		}
	})
	return name
}

// leftOf is what there is of a lab.
func leftOf(t *testing.T, name string) (left []string) {
	t.Helper()
	for _, pattern := range []string{lab.NamePath(name + "-*"), pins(name + "-*"), statePath(name)} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		left = append(left, found...)
	}
	return left
}

func sample(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

// Arguments that make no sense do nothing.
func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"build"}, {"up"}, {"up", "a.yaml", "b.yaml"}, {"up", "-o", "json", "a.yaml"},
		{"show"}, {"show", "x", "-o"}, {"down"}, {"down", "x", "y"}, {"down", "-force", "x"},
	} {
		require.ErrorIs(t, run(t.Context(), io.Discard, args), errUsage, "%v", args)
	}
	testutil.Root(t)
	require.ErrorIs(t, run(t.Context(), io.Discard, []string{"show", "x", "-o", "png"}), errUsage)
	for _, args := range [][]string{{"down", "no-such-lab"}, {"show", "no-such-lab"}} {
		require.ErrorIs(t, run(t.Context(), io.Discard, args), errNoLab)
	}
	require.ErrorIs(t, run(t.Context(), io.Discard, []string{"up", "no-such-file.yaml"}), os.ErrNotExist)
	require.ErrorContains(t, run(t.Context(), io.Discard, []string{"down", "../x"}), "name")
}

// trigger calls f once when what is written speaks of something.
type trigger struct {
	bytes.Buffer
	on string
	f  func() error
}

func (w *trigger) Write(b []byte) (int, error) {
	if w.f != nil && bytes.Contains(b, []byte(w.on)) {
		f := w.f
		w.f = nil
		if err := f(); err != nil {
			return 0, err
		}
	}
	return w.Buffer.Write(b)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"testing"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/stretchr/testify/require"
)

func quiet() *progress { return &progress{to: io.Discard} }

func TestRun(t *testing.T) {
	testutil.Root(t)
	leaks(t)
	var out bytes.Buffer
	err := run(t.Context(), &out, quiet())
	t.Log("\n" + out.String())
	require.NoError(t, err)
	for _, want := range []string{
		"native XDP", "tcx",
		"A SEND_BOUNCER → C BOUNCE → B DELIVER",
		"A SEND_BOUNCER → C DIVIDE_VPC → D DIVIDE_NETWORK → B DELIVER",
		"A SEND_DIRECT → B DELIVER",
		"A DELIVER_LOCAL",
		"All as it should be.",
	} {
		require.Contains(t, out.String(), want)
	}
}

// Ctrl-C at each step: it stops there, says so, and everything is taken down.
func TestInterrupt(t *testing.T) {
	testutil.Root(t)
	for _, step := range []string{"data-plane on host C", "endpoint b1 of red", "across hosts: TCP"} {
		t.Run(step, func(t *testing.T) {
			leaks(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := run(ctx, io.Discard, &progress{to: testutil.Trigger{On: step, Do: cancel}})
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

// leaks fails the test if the process holds more at its end, or if pins of this process are left.
func leaks(t *testing.T) {
	testutil.Leaks(t)
	testutil.NoFiles(t, filepath.Join(dataplane.DefaultBPFFS, "mizar", instance("*")))
}

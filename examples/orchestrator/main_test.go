// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"

	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	testutil.Root(t)
	testutil.Leaks(t)
	var out bytes.Buffer
	err := run(t.Context(), &out)
	t.Log("\n" + out.String())
	require.NoError(t, err)
	for _, want := range []string{"ping ", "TCP ", "host a: ", "SEND_DIRECT", "host b: ", "DELIVER"} {
		require.Contains(t, out.String(), want)
	}
}

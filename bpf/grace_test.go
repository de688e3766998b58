// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/testutil"
)

func TestGraceWaitsForPrograms(t *testing.T) {
	needRoot(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	require.NoError(t, err)
	defer m.Close()
	h := testutil.Hold(t, m, uint32(0), nil)
	require.NoError(t, Grace())
	h.RequireDone(t)
}

func TestGraceLeavesNothing(t *testing.T) {
	needRoot(t)
	testutil.Leaks(t)
	for range 3 {
		require.NoError(t, Grace())
	}
}

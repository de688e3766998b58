// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLoad(t *testing.T) {
	needRoot(t)
	tables, err := NewTables(Limits{Endpoints: 1000})
	require.NoError(t, err)
	defer tables.Close()
	require.Equal(t, uint32(1000), tables.Limits().Endpoints)
	p, err := LoadPrograms(tables)
	if err != nil {
		t.Fatalf("%.6000s", err)
	}
	defer p.Close()
	require.True(t, p.Frags)
	require.NoError(t, p.WireTransit())
}

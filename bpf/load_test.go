// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
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

	// The verifier gives up at a million instructions, and how many it looks at differs between kernels. Long
	// before that it is what loading takes: a microsecond each.
	for name, program := range map[string]*ebpf.Program{"transit, XDP": p.TransitXDP, "transit, tcx": p.TransitTCX,
		"agent, XDP": p.AgentXDP, "agent, tcx": p.AgentTCX,
		"transit again, XDP": p.TransitResumeXDP, "transit again, tcx": p.TransitResumeTCX,
		"agent again, XDP": p.AgentResumeXDP, "agent again, tcx": p.AgentResumeTCX} {
		info, err := program.Info()
		require.NoError(t, err)
		n, ok := info.VerifiedInstructions()
		require.True(t, ok)
		t.Logf("%s: %d instructions verified", name, n)
		require.Less(t, n, uint32(100_000), name)
	}
}

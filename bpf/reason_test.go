// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// reasons are all that the enum has.
func reasons() (all []Reason) {
	for r := range TableReasonREASON_FUNCTION_FIRST {
		if !strings.HasPrefix(r.String(), "TableReason(") {
			all = append(all, r)
		}
	}
	return all
}

// What people see and graph.
func TestReasonNames(t *testing.T) {
	require.Equal(t, "DELIVER", TableReasonREASON_DELIVER.String())
	require.Equal(t, "DROP_OUTER_SHORT", TableReasonDROP_OUTER_SHORT.String())
	require.Equal(t, "TRANSIT_XDP", TableHookHOOK_TRANSIT_XDP.String())
	seen := make(map[string]bool)
	for _, r := range reasons() {
		name := r.String()
		require.False(t, seen[name], name)
		seen[name] = true
		require.Regexp(t, "^[A-Z][A-Z0-9_]+$", name)
		require.Equal(t, r >= TableReasonREASON_DROP_FIRST, strings.HasPrefix(name, "DROP_"), name)
		require.NotContains(t, name, "REASON_")
	}
	require.Len(t, seen, 67)
}

// Every reason is met in XDP and in tcx by a packet of the table, but for those that cannot be.
func TestEveryReason(t *testing.T) {
	never := map[string]map[Reason]string{
		"xdp": {
			TableReasonREASON_NONE:    "is no verdict",
			TableReasonREASON_RESOLVE: "is what tcx calls a packet that XDP left to it",
		},
		"tcx": {
			TableReasonREASON_NONE:       "is no verdict",
			TableReasonREASON_RESOLVE:    "takes an XDP program in front: TestLiveBounceAlone",
			TableReasonREASON_TO_TCX:     "is XDP's alone: tcx has headers put into one piece",
			TableReasonDROP_NO_NEIGHBOUR: "bpf_redirect_neigh refuses nothing but flags and sizes",
		},
	}
	for _, byHook := range never {
		for _, r := range []Reason{TableReasonDROP_FUNCTION, TableReasonDROP_FUNCTION_LENGTH, TableReasonDROP_FUNCTION_PASS} {
			byHook[r] = "takes a function: TestFunctionVerdicts"
		}
		byHook[TableReasonDROP_NO_FUNCTION] = "takes a chain: TestMissingFunction"
	}
	for _, hook := range []string{"xdp", "tcx"} {
		var met []Reason
		for _, cases := range [][]packetCase{forwardedPackets(t), droppedTunnels(t), droppedFrames(t), rareTunnels(t),
			rareFrames(t), passedPackets(t), neighbourPackets(t), hidingPackets(t)} {
			for _, c := range cases {
				if slices.Contains(c.hooks(), hook) {
					met = append(met, c.reason)
				}
			}
		}
		for _, r := range reasons() {
			why, cannot := never[hook][r]
			require.NotEqual(t, cannot, slices.Contains(met, r), "%s: %v (%s)", hook, r, why)
		}
	}
}

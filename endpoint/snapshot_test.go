// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/snapshot"
)

// snapshot is all that an endpoint may leave behind: pins, rows, and what is in the host's and the given
// namespaces.
func (r *rig) snapshot(namespaces ...*netns.Handle) []string {
	r.t.Helper()
	lines := append(snapshot.Pins(r.t, r.pins), rows(r.t, r.raw)...)
	for i, ns := range append([]*netns.Handle{r.host}, namespaces...) {
		lines = append(lines, fmt.Sprintf("namespace %d", i))
		lines = append(lines, snapshot.Network(r.t, ns)...)
	}
	return lines
}

// rows are those of all tables, but for counts.
func rows(t testing.TB, tables *bpf.Tables) (lines []string) {
	t.Helper()
	require.NoError(t, tables.Each(func(name string, m *ebpf.Map) error {
		more, err := snapshot.Rows(name, m)
		lines = append(lines, more...)
		return err
	}))
	return lines
}

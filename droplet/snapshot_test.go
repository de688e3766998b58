// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/snapshot"
)

// snapshot is all that a droplet may change on a host: its namespace, pins and rows.
func (p *plane) snapshot(t *testing.T) []string {
	t.Helper()
	lines := append(snapshot.Network(t, p.ns), snapshot.Pins(t, p.dir)...)
	require.NoError(t, p.raw.Each(func(name string, m *ebpf.Map) error {
		more, err := snapshot.Rows(name, m)
		lines = append(lines, more...)
		return err
	}))
	return lines
}

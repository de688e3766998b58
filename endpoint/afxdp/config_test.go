// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/encap"
	"github.com/mizar-go/mizar/maps"
)

func TestConfigDefaults(t *testing.T) {
	c, err := Config{Interface: "fn0"}.validate()
	require.NoError(t, err)
	assert.Equal(t, Config{Interface: "fn0", RingSize: 2048, Port: encap.Port, OptionClass: encap.OptionClass}, c)
	for _, of := range []struct {
		mtu, size int
		multi     bool
	}{{1500, 2048, false}, {1774, 2048, false}, {1775, 4096, false}, {3822, 4096, false}, {3823, 4096, true}, {65535, 4096, true}} {
		got := c.fit(of.mtu)
		assert.Equal(t, of.size, got.FrameSize, of.mtu)
		assert.Equal(t, of.multi, got.MultiBuffer, of.mtu)
	}
	c.FrameSize = 2048
	assert.True(t, c.fit(3000).MultiBuffer)
}

func TestConfigInvalid(t *testing.T) {
	for _, c := range []struct {
		name string
		c    Config
	}{
		{"no interface", Config{}},
		{"long name", Config{Interface: "sixteen-letters-"}},
		{"queue", Config{Interface: "fn0", Queues: []int{-1}}},
		{"queue twice", Config{Interface: "fn0", Queues: []int{0, 1, 0}}},
		{"tcx", Config{Interface: "fn0", Mode: bpf.TCX}},
		{"offload", Config{Interface: "fn0", Mode: bpf.Offload}},
		{"frame size", Config{Interface: "fn0", FrameSize: 3000}},
		{"ring size", Config{Interface: "fn0", RingSize: 100}},
		{"large ring", Config{Interface: "fn0", RingSize: 1 << 16}},
		{"negative ring", Config{Interface: "fn0", RingSize: -64}},
		{"tiny ring", Config{Interface: "fn0", RingSize: 16}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(context.Background(), c.c)
			require.ErrorIs(t, err, maps.ErrInvalid)
		})
	}
}

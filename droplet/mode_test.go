// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

func TestAutoChooses(t *testing.T) {
	for _, c := range []struct {
		name string
		candidate
		modes []Mode
		why   string // of the first
	}{
		{"veth", candidate{kind: "veth", driver: "veth"}, []Mode{TCX}, "virtual device (veth)"},
		{"bridge", candidate{kind: "bridge", driver: "bridge"}, []Mode{TCX}, "virtual device (bridge)"},
		{"bond", candidate{kind: "bond", driver: "bonding"}, []Mode{TCX}, "virtual device (bond)"},
		{"vlan", candidate{kind: "vlan", driver: "802.1Q VLAN Support"}, []Mode{TCX}, "virtual device (vlan)"},
		{"virtio", candidate{driver: "virtio_net", features: xdpBasic | xdpRedirect, known: true}, []Mode{TCX}, "virtual NIC (driver virtio_net)"},
		{"no XDP", candidate{driver: "r8169", known: true}, []Mode{TCX}, "r8169, has no native XDP"},
		{"half XDP", candidate{driver: "half", features: xdpBasic, known: true}, []Mode{TCX}, "half, has no native XDP that redirects"},
		{"XDP", candidate{driver: "ixgbe", features: xdpBasic | xdpRedirect, known: true}, []Mode{Native, TCX}, "ixgbe, has native XDP"},
		{"not known", candidate{driver: "ixgbe"}, []Mode{Native, TCX}, "ixgbe, has native XDP"},
		{"taken", candidate{driver: "ixgbe", program: 7, features: xdpBasic | xdpRedirect, known: true}, []Mode{TCX}, "another's XDP program (7)"},
	} {
		c.candidate.name = "eth0"
		choices := c.choices()
		var modes []Mode
		for _, x := range choices {
			modes = append(modes, x.mode)
			require.Contains(t, x.why, "eth0", c.name)
			require.NotContains(t, x.why, "\n", c.name)
			require.False(t, strings.HasSuffix(x.why, "."), c.name)
		}
		require.Equal(t, c.modes, modes, c.name)
		require.Contains(t, choices[0].why, c.why, c.name)
	}
}

func TestWhy(t *testing.T) {
	p, _ := newHost(t)
	require.Equal(t, "up0 is a virtual device (veth), where XDP would turn off segmentation offload", p.attach(t, Auto).Why)
	p.detach(t)
	require.Equal(t, "generic was asked for", p.attach(t, Generic).Why)
	p.detach(t)
}

// What a driver does of XDP is asked, and a bridge does nothing of it.
func TestXDPFeatures(t *testing.T) {
	testutil.Leaks(t)
	ns := testutil.NewNS(t)
	testutil.Veth(t, ns, "a", ns, "b")
	testutil.Bridge(t, ns, "br0")
	testutil.In(t, ns, func() error {
		features, known := xdpFeatures(testutil.Ifindex(t, ns, "a"))
		require.True(t, known)
		require.NotZero(t, features&xdpBasic)
		features, known = xdpFeatures(testutil.Ifindex(t, ns, "br0"))
		require.True(t, known)
		require.Zero(t, features)
		_, known = xdpFeatures(1 << 30)
		require.False(t, known)
		return nil
	})
}

// A driver that refuses native XDP when it comes to it gets tcx, and the answer says so.
func TestAutoFallsBack(t *testing.T) {
	p, _ := newHost(t)
	testutil.Bridge(t, p.ns, "br0")
	testutil.Addr(t, p.ns, "br0", "203.0.113.2/24")
	before := p.snapshot(t)
	c := candidate{name: "br0", driver: "bridge", features: xdpBasic | xdpRedirect, known: true}
	row := maps.Droplet{Ifindex: testutil.Ifindex(t, p.ns, "br0"), MTU: 1500}
	testutil.In(t, p.ns, func() error {
		dev, err := deviceByName("br0")
		if err != nil {
			return err
		}
		row.MAC = dev.Attrs().HardwareAddr
		if row.Addrs, err = ownAddrs(dev); err != nil {
			return err
		}
		d, err := p.attachFirst(t.Context(), dev, row, c.choices())
		if err != nil {
			return err
		}
		require.Equal(t, TCX, d.Mode)
		require.Contains(t, d.Why, "the driver of br0, bridge, refused native XDP")
		return nil
	})
	d, err := p.Get(t.Context(), "br0")
	require.NoError(t, err)
	require.Equal(t, TCX, d.Mode)
	require.False(t, d.Partial)
	require.NoError(t, p.Detach(t.Context(), "br0"))
	require.Equal(t, before, p.snapshot(t))
}

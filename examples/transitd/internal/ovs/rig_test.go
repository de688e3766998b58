// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mizar-go/mizar/examples/transitd/internal/ovs/ovstest"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/stretchr/testify/require"
)

// rig is a switch with two bridges, br0 and br1, and interfaces to make ports of: e0 and e1 of ours, w0, w1
// and w2, which are ports of br0 by other hands.
type rig struct {
	t  testing.TB
	ns *netns.Handle
	*ovstest.Switch
}

func newRig(t testing.TB) *rig {
	t.Helper()
	testutil.Root(t)
	testutil.Leaks(t)
	ns := testutil.NewNS(t)
	r := &rig{t: t, ns: ns, Switch: ovstest.Start(t, ns.Do)}
	r.Bridge("br0")
	r.Bridge("br1")
	for _, name := range []string{"e0", "e1", "w0", "w1", "w2"} {
		testutil.Veth(t, ns, name, ns, name+"-far")
		testutil.Up(t, ns, name, name+"-far")
	}
	for _, name := range []string{"w0", "w1", "w2"} {
		r.Vsctl("add-port", "br0", name)
	}
	return r
}

// client is one of an instance.
func (r *rig) client(instance string) *Client {
	r.t.Helper()
	c, err := New(Options{Instance: instance, Socket: r.Socket()})
	require.NoError(r.t, err)
	r.t.Cleanup(func() { require.NoError(r.t, c.Close()) })
	return c
}

var changing = regexp.MustCompile(`duration=[^,]*, |n_packets=[^,]*, |n_bytes=[^,]*, |idle_age=[^,]*, |addr:.*| speed.*|xid=\S+`)

// snapshot is what there is to see of both bridges: rows, flows, and what is flooded where.
func (r *rig) snapshot() []string {
	r.t.Helper()
	var all []string
	for _, columns := range [][]string{{"bridge", "name,ports"}, {"port", "_uuid,name,tag,external_ids,interfaces"}, {"interface", "name,type,external_ids,error"}} {
		all = append(all, lines(r.Vsctl("--format=csv", "--columns="+columns[1], "list", columns[0]))...)
	}
	for _, bridge := range []string{"br0", "br1"} {
		for _, command := range []string{"dump-flows", "dump-ports-desc"} {
			for _, line := range lines(r.Ofctl(command, bridge)) {
				all = append(all, bridge+": "+changing.ReplaceAllString(line, ""))
			}
		}
	}
	return all
}

func lines(s string) []string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	slices.Sort(all)
	return all
}

// ports are those of an instance.
func (r *rig) ports(c *Client) []Status {
	r.t.Helper()
	all, err := c.Ports(r.t.Context())
	require.NoError(r.t, err)
	return all
}

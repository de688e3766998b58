// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"net/netip"
	"strconv"
	"testing"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

// newSwitched makes hosts on a switch. They are 192.0.2.1 and so on, are named a, b ..., and share a
// bpffs. The ports are as hosts that run native XDP want them.
func newSwitched(t testing.TB, n int) (hosts []*host, sw *netns.Handle) {
	t.Helper()
	bpffs := testutil.BPFFS(t)
	sw = testutil.NewNS(t)
	var ports []string
	for i := range n {
		h := &host{
			ns: testutil.NewNS(t), bpffs: bpffs, name: string(rune('a' + i)),
			addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}),
		}
		port := "to" + strconv.Itoa(i)
		testutil.Veth(t, sw, port, h.ns, "eth0")
		likeNIC(t, sw, port)
		testutil.Addr(t, h.ns, "eth0", h.addr.String()+"/24")
		testutil.Up(t, h.ns, "eth0")
		hosts, ports = append(hosts, h), append(ports, port)
	}
	testutil.Bridge(t, sw, "switch", ports...)
	for i, h := range hosts {
		testutil.Ready(t, h.ns, "eth0")
		testutil.Ready(t, sw, ports[i])
	}
	return hosts, sw
}

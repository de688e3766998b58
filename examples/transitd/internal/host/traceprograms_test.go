// SPDX-License-Identifier: Apache-2.0

package host

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// told is what a trace has to tell at some time, and the programs with it.
var told = []string{
	"DELIVER", "DELIVER_LOCAL", "SEND_DIRECT", "SEND_BOUNCER", "SEND_DIVIDER", "BOUNCE", "DIVIDE_NETWORK", "DIVIDE_VPC", "RETURN", "FUNCTION",
	"DROP_OUTER_SOURCE", "DROP_PEER", "DROP_INNER_ADDRESS", "DROP_MULTICAST", "DROP_SPOOF_ADDRESS", "DROP_SOURCE_HOST",
	"DROP_NO_VPC", "DROP_NO_NETWORK", "DROP_NO_ENDPOINT", "DROP_BLACKHOLE", "DROP_LOOP",
}

func (c *comparer) toldAll() bool {
	for _, verdict := range told {
		if c.seen[verdict] == 0 {
			return false
		}
	}
	return true
}

// TestTraceAsPrograms compares what a trace says of random packets under random states with what the programs do.
// MIZAR_SEED and MIZAR_SECONDS say which, and how long.
func TestTraceAsPrograms(t *testing.T) {
	w := newTraceWorld(t)
	seed, seconds := rand.Uint64(), 5
	if n, err := strconv.ParseUint(os.Getenv("MIZAR_SEED"), 10, 64); err == nil {
		seed = n
	}
	if n, err := strconv.Atoi(os.Getenv("MIZAR_SECONDS")); err == nil {
		seconds = n
	}
	w.open(t)
	w.apply(t, state(t, `{"droplets":[{"interface":"eth0"}]}`))
	c := w.comparer(t, seed)
	for _, n := range []string{"ta", "tb", "tf", "tc"} {
		name, _ := named(t, n)
		c.namespaces = append(c.namespaces, name)
	}
	began, round := time.Now(), 0
	var locals []*pb.LocalEndpoint
	for ; time.Since(began) < time.Duration(seconds)*time.Second || !c.toldAll() && round < 200; round++ {
		if round%10 == 0 {
			locals = c.locals()
		}
		s := c.state(locals)
		w.apply(t, s)
		c.look(t)
		c.teach(t, c.programs)
		var wrong []string
		for range 150 {
			if _, differs := c.ask(t, c.packet()); differs != "" {
				wrong = append(wrong, differs)
			}
		}
		s.Functions = nil // their objects say nothing
		require.Empty(t, wrong, "MIZAR_SEED=%d, round %d:\n%s\nunder %s", seed, round, strings.Join(wrong, "\n"), protojson.Format(s))
	}
	t.Logf("MIZAR_SEED=%d: %d states: %v", seed, round, c.seen)
	require.True(t, c.toldAll(), "MIZAR_SEED=%d: all of %v, and there were %v", seed, told, c.seen)
}

// TestTraceWas is of what a trace once told wrong.
func TestTraceWas(t *testing.T) {
	w := newTraceWorld(t)
	w.open(t)
	one, _ := named(t, "one")
	two, _ := named(t, "two")
	w.apply(t, state(t, `{"droplets":[{"interface":"eth0"}], "peers":[{"prefix":"192.0.2.2/31"},{"prefix":"192.0.2.4/31"},{"prefix":"127.0.0.0/8"}],
		"vpcs":[{"vni":7,"dividers":["192.0.2.5"]},{"vni":8,"dividers":["192.0.2.2"]}],
		"networks":[{"vni":7,"prefix":"10.0.0.0/24","bouncers":["192.0.2.2"]}, {"vni":7,"prefix":"10.1.0.0/24","bouncers":["192.0.2.2","192.0.2.3"]},
			{"vni":7,"prefix":"10.2.0.0/24","via":"10.0.0.1"}, {"vni":7,"prefix":"10.3.0.0/24","via":"10.0.0.9"}, {"vni":7,"prefix":"10.4.0.0/24","blackhole":true}],
		"endpoints":[{"vni":7,"address":"10.0.0.9","host":"192.0.2.3"}, {"vni":7,"address":"10.0.0.8","host":"192.0.2.1"}],
		"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24","10.0.0.2/24"],"netns":%q,"hostInterface":"mza"}, {"vni":7,"addresses":["10.0.0.3/24"],"netns":%q,"hostInterface":"mzb"}]}`, one, two))
	c := w.comparer(t, 1)
	c.look(t)
	for _, row := range []struct {
		what           string
		vni            uint32
		src, dst, from string
		verdict        string
		targets        []string
	}{
		{"to itself", 7, "10.0.0.1", "10.0.0.1", "", "DROP_LOOP", nil},
		{"to another address of its own", 7, "10.0.0.1", "10.0.0.2", "", "DROP_LOOP", nil},
		{"a router's route to itself", 7, "10.0.0.1", "10.2.0.5", "", "DROP_LOOP", nil},
		{"to an endpoint that should live on this host", 7, "10.0.0.1", "10.0.0.8", "", "DROP_LOOP", nil},
		{"to that, by way of this host", 7, "10.0.0.9", "10.0.0.8", "192.0.2.3", "DROP_LOOP", nil},
		{"from an address of this host, which is no peer", 7, "10.0.0.9", "10.0.0.1", "192.0.2.1", "DROP_OUTER_SOURCE", nil},
		{"from an address that no host has, which is a peer", 7, "10.0.0.9", "10.0.0.1", "127.0.0.1", "DROP_OUTER_SOURCE", nil},
		{"in the name of an endpoint of this host", 7, "10.0.0.3", "10.0.0.1", "192.0.2.2", "DROP_SOURCE_HOST", nil},
		{"in the name of what is behind an endpoint of this host", 7, "10.2.0.5", "10.0.0.3", "192.0.2.2", "DROP_SOURCE_HOST", nil},
		{"in the name of an endpoint of another host", 7, "10.0.0.9", "10.0.0.1", "192.0.2.4", "DROP_SOURCE_HOST", nil},
		{"in the name of what is behind that", 7, "10.3.0.5", "10.0.0.1", "192.0.2.4", "DROP_SOURCE_HOST", nil},
		{"by a bouncer, which says whose it is", 7, "10.0.0.9", "10.0.0.1", "192.0.2.2", "DELIVER", []string{"mza"}},
		{"by a divider, which does", 7, "10.0.0.9", "10.0.0.1", "192.0.2.5", "DELIVER", []string{"mza"}},
		{"to who bounced it", 7, "10.0.0.9", "10.0.0.77", "192.0.2.2", "DROP_LOOP", nil},
		{"to one of two, the other of whom bounced it", 7, "10.0.0.9", "10.1.0.7", "192.0.2.2", "DIVIDE_NETWORK", []string{"192.0.2.3"}},
		{"to who divided it", 8, "10.0.0.9", "10.0.0.1", "192.0.2.2", "DROP_LOOP", nil},
		{"on to its host, or straight and so back", 7, "10.0.0.7", "10.0.0.9", "192.0.2.2", "BOUNCE", []string{"192.0.2.3"}},
		{"into a black hole, also straight", 7, "10.0.0.9", "10.4.0.1", "192.0.2.3", "DROP_BLACKHOLE", nil},
	} {
		for range 8 { // with return-to-sender and without
			trace, differs := c.ask(t, &pb.TracePacketRequest{Vni: row.vni, Source: row.src, Destination: row.dst, From: row.from})
			require.Empty(t, differs, row.what)
			require.Equal(t, row.verdict, trace.Verdict, row.what)
			require.Equal(t, row.targets, trace.Targets, row.what)
		}
	}
}

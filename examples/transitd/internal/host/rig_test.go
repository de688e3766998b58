// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/examples/transitd/internal/journal"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// world is a host in a namespace of its own, with an uplink to another.
type world struct {
	ns, far *netns.Handle
	options Options
	h       *Host // nil: closed
	dir     string
	states  int // directories in there that were its
}

var limits = bpf.Limits{
	Endpoints: 64, Networks: 16, VPCs: 16, Sets: 16, Peers: 16, Agents: 16, Allowed: 16, Directs: 1024, Paths: 64, Traffic: 64,
}

func newWorld(t testing.TB) *world {
	t.Helper()
	testutil.Root(t)
	testutil.Leaks(t)
	bpffs := testutil.BPFFS(t)
	w := &world{ns: testutil.NewNS(t), far: testutil.NewNS(t), dir: t.TempDir()}
	testutil.Veth(t, w.ns, "eth0", w.far, "eth0")
	for i, ns := range []*netns.Handle{w.ns, w.far} {
		testutil.Addr(t, ns, "eth0", fmt.Sprintf("192.0.2.%d/24", i+1))
		testutil.Up(t, ns, "eth0")
	}
	testutil.Ready(t, w.ns, "eth0")
	w.options = Options{
		Dataplane: dataplane.Config{Name: "a", BPFFS: bpffs, Limits: limits, NetNS: fmt.Sprintf("/proc/self/fd/%d", w.ns.FD())},
		StateDir:  filepath.Join(w.dir, "0"),
	}
	t.Cleanup(func() { w.close(t) })
	return w
}

// open opens the host, again.
func (w *world) open(t testing.TB) *Host {
	t.Helper()
	w.close(t)
	h, err := Open(context.Background(), w.options)
	require.NoError(t, err)
	w.h = h
	return h
}

func (w *world) close(t testing.TB) {
	t.Helper()
	if w.h != nil {
		require.NoError(t, w.h.Close())
		w.h = nil
	}
}

// reboot has the kernel forget everything that the daemon made there.
func (w *world) reboot(t testing.TB) {
	t.Helper()
	w.close(t)
	dp, err := dataplane.Open(t.Context(), w.options.Dataplane)
	require.NoError(t, err)
	require.NoError(t, dp.Destroy(t.Context()))
}

// library does something to the data-plane behind the daemon's back, which is closed meanwhile.
func (w *world) library(t testing.TB, f func(*dataplane.Dataplane)) {
	t.Helper()
	w.close(t)
	dp, err := dataplane.Open(t.Context(), w.options.Dataplane)
	require.NoError(t, err)
	defer func() { require.NoError(t, dp.Close()) }()
	f(dp)
}

// named makes a namespace that has a name, which is gone with the test.
func named(t testing.TB, n string) (name string, ns *lab.Namespace) {
	t.Helper()
	name = fmt.Sprintf("mztd-%d-%s", os.Getpid(), n)
	ns, err := lab.NewNamed(name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lab.RemoveNamed(name)) })
	t.Cleanup(func() { require.NoError(t, ns.Close()) })
	return name, ns
}

// loseNamespace takes a workload's namespace away. Its end of the veth goes a moment later, and ours with it.
func (w *world) loseNamespace(t testing.TB, name string, ns *lab.Namespace, e *pb.LocalEndpoint) {
	t.Helper()
	require.NoError(t, errors.Join(lab.RemoveNamed(name), ns.Close()))
	testutil.Eventually(t, 10*time.Second, func() error {
		if testutil.Exists(t, w.ns, e.Status.HostInterface) {
			return fmt.Errorf("interface %s is still there", e.Status.HostInterface)
		}
		return nil
	})
}

func object(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("../../../functions/" + name + "_bpfel.o")
	require.NoError(t, err)
	return raw
}

// state reads one from JSON.
func state(t testing.TB, format string, args ...any) *pb.State {
	t.Helper()
	s := &pb.State{}
	require.NoError(t, protojson.Unmarshal([]byte(fmt.Sprintf(format, args...)), s))
	for _, f := range s.Functions { // written as the name of an example
		f.Object = object(t, string(f.Object))
	}
	return s
}

func (w *world) apply(t testing.TB, s *pb.State, kinds ...pb.Kind) *pb.ApplyResponse {
	t.Helper()
	got, err := w.h.Apply(t.Context(), &pb.ApplyRequest{State: s, Kinds: kinds}, "test")
	require.NoError(t, err)
	return got
}

// steps are a plan's, as short texts.
func steps(r *pb.ApplyResponse) (all []string) {
	for _, s := range r.Steps {
		all = append(all, strings.ToLower(strings.TrimPrefix(s.Action.String(), "ACTION_"))+" "+KindName(s.Kind)+" "+s.Key)
	}
	return all
}

// state is what the host says.
func (w *world) state(t testing.TB) *pb.State {
	t.Helper()
	s := &pb.State{}
	for part, err := range w.h.State(t.Context(), nil, true, 100) {
		require.NoError(t, err)
		proto.Merge(s, part.State)
	}
	slices.SortFunc(s.Endpoints, func(a, b *pb.Endpoint) int { return strings.Compare(a.String(), b.String()) })
	return s
}

// requireState compares what the host says with what was applied.
func (w *world) requireState(t testing.TB, want *pb.State) {
	t.Helper()
	requireSame(t, want, w.state(t))
}

func requireSame(t testing.TB, want, have *pb.State) {
	t.Helper()
	require.Equal(t, textsOf(want), textsOf(have))
}

// textsOf is a state without an order.
func textsOf(s *pb.State) (all []string) {
	m := s.ProtoReflect()
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		list := m.Get(f).List()
		for j := range list.Len() {
			one := bare(list.Get(j).Message().Interface())
			if f, ok := one.(*pb.Function); ok {
				f.Object = []byte(fmt.Sprint(len(f.Object)))
			}
			raw, err := protojson.Marshal(one)
			if err != nil {
				panic(err)
			}
			all = append(all, string(f.Name())+" "+strings.ReplaceAll(string(raw), " ", ""))
		}
	}
	slices.Sort(all)
	return all
}

// requireWhole checks that the host is as it was asked for.
func (w *world) requireWhole(t testing.TB) {
	t.Helper()
	w.h.problems.forget()
	health, err := w.h.Health(t.Context())
	require.NoError(t, err)
	require.Empty(t, health.Problems)
}

// journaled is what the journal says, which nobody may have open.
func (w *world) journaled(t testing.TB) *pb.State {
	t.Helper()
	s, err := journaled(w.options.StateDir)
	require.NoError(t, err)
	return s
}

func journaled(dir string) (*pb.State, error) {
	h := &Host{dp: &dataplane.Dataplane{}, asked: make(map[pb.Kind]map[string]proto.Message), places: make(map[maps.EndpointKey]place)}
	h.addKinds()
	j, _, err := journal.Open(dir, func(c journal.Change, _ bool) error {
		change, err := h.read(c)
		if err == nil {
			h.remember(change)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return h.everything(), j.Close()
}

// kernel is what there is, told by the library's views and by netlink alone, without numbers that are made anew.
func (w *world) kernel(t testing.TB) (all []string) {
	t.Helper()
	ctx := t.Context()
	v, err := dataplane.InspectAt(w.options.Dataplane.BPFFS, "a")
	require.NoError(t, err)
	defer v.Close()
	names := make(map[int]string)
	testutil.In(t, w.ns, func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			names[l.Attrs().Index] = l.Attrs().Name
			all = append(all, fmt.Sprintf("link %s mtu %d %s", l.Attrs().Name, l.Attrs().MTU, l.Attrs().HardwareAddr))
			if strings.HasPrefix(l.Attrs().Name, "mz") { // the host's side has a MAC that is made up each time
				all[len(all)-1] = fmt.Sprintf("link %s mtu %d", l.Attrs().Name, l.Attrs().MTU)
			}
		}
		return err
	})
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for r, err := range v.Peers(ctx) {
		require.NoError(t, err)
		say("peer %+v", r)
	}
	for r, err := range v.VPCs(ctx) {
		require.NoError(t, err)
		say("vpc %+v", r)
	}
	for r, err := range v.Networks(ctx) {
		require.NoError(t, err)
		say("network %+v", r)
	}
	for r, err := range v.Endpoints(ctx) {
		require.NoError(t, err)
		say("endpoint %d %v host %v at %q %v %d", r.VNI, r.Addr, r.Host, names[r.Ifindex], r.MAC, r.Cookie)
	}
	for r, err := range v.Agents(ctx) {
		require.NoError(t, err)
		say("agent %q %d %v %d %v %d", names[r.Ifindex], r.VNI, r.MAC, r.MTU, r.Allowed, r.Cookie)
	}
	for r, err := range v.Droplets(ctx) {
		require.NoError(t, err)
		say("droplet %q %v %v", names[r.Ifindex], r.Addrs, r.Cookie)
	}
	for r, err := range v.Stages(ctx) {
		require.NoError(t, err)
		say("chain %v %d %q %v", r.Stage, r.VNI, names[r.Ifindex], r.Functions)
	}
	slices.Sort(all)
	return all
}

// file is how a state names the object of an example.
func file(name string) string { return base64.StdEncoding.EncodeToString([]byte(name)) }

// made are names and MACs that the library makes up.
var made = regexp.MustCompile(`mz[0-9a-f]{8,}|02(:[0-9a-f]{2}){5}`)

func sorted(all []string) []string {
	slices.Sort(all)
	return all
}

// full is a state of one of each kind, with the endpoint in a namespace.
func full(t testing.TB, netns string) *pb.State {
	t.Helper()
	return state(t, `{"peers":[{"prefix":"192.0.2.0/24"}], "droplets":[{"interface":"eth0"}], "vpcs":[{"vni":7,"dividers":["192.0.2.2"]}],
		"networks":[{"vni":7,"prefix":"10.0.0.0/24","bouncers":["192.0.2.2"]}],
		"endpoints":[{"vni":7,"address":"10.0.0.9","host":"192.0.2.2"}, {"vni":7,"address":"10.0.0.8","host":"192.0.2.2"}],
		"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24","10.0.0.2/24"],"netns":%q,"cookie":"5"}],
		"functions":[{"name":"log","object":%q}], "stages":[{"scope":{"point":"STAGE_POINT_DROP","vni":7},"functions":["log"]},
		{"scope":{"point":"STAGE_POINT_DROP","vni":7,"address":"10.0.0.1"},"functions":["log"]}]}`, netns, file("droplog"))
}

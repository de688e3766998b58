// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
	"github.com/mizar-go/mizar/internal/testutil"
)

// target is a host whose handlers are called with whatever.
type target struct {
	options host.Options
	h       *host.Host
	mux     *http.ServeMux
	all     []protoreflect.MethodDescriptor
	objects [][]byte
	spaces  []string
}

func newTarget(t testing.TB) *target {
	t.Helper()
	testutil.Root(t)
	bpffs := testutil.BPFFS(t)
	ns := testutil.NewNS(t)
	testutil.Veth(t, ns, "eth0", ns, "eth1")
	testutil.Veth(t, ns, "p1", ns, "p2")
	testutil.Veth(t, ns, "tap0", testutil.NewNS(t), "eth0")
	for i, name := range []string{"eth0", "eth1"} {
		testutil.Addr(t, ns, name, fmt.Sprintf("192.0.2.%d/24", i+1))
		testutil.Up(t, ns, name)
	}
	x := &target{all: procedures(), options: host.Options{
		Dataplane: dataplane.Config{
			Name: "a", BPFFS: bpffs, NetNS: fmt.Sprintf("/proc/self/fd/%d", ns.FD()),
			Limits: bpf.Limits{Endpoints: 16, Networks: 8, VPCs: 8, Sets: 8, Peers: 8, Agents: 8, Allowed: 8, Directs: 64, Paths: 8, Traffic: 16},
		},
		StateDir: filepath.Join(t.TempDir(), "state"), OVS: filepath.Join(t.TempDir(), "no-such-switch"),
	}}
	for i := range 2 {
		name := fmt.Sprintf("mzfuzz-%d-%d", os.Getpid(), i)
		named, err := lab.NewNamed(name)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, errors.Join(named.Close(), lab.RemoveNamed(name))) })
		x.spaces = append(x.spaces, name)
	}
	for _, name := range []string{"droplog", "limiter", "mirror"} {
		raw, err := os.ReadFile("../../../functions/" + name + "_bpfel.o")
		require.NoError(t, err)
		x.objects = append(x.objects, raw)
	}
	x.open(t)
	t.Cleanup(func() { require.NoError(t, x.h.Close()) })
	return x
}

func (x *target) open(t testing.TB) {
	t.Helper()
	var err error
	x.h, err = host.Open(context.Background(), x.options)
	require.NoError(t, err)
	x.mux = http.NewServeMux()
	Register(x.mux, x.h, Options{Tables: func(context.Context) ([]*pb.Table, error) { return nil, nil }})
}

func (x *target) state(t testing.TB) *pb.State {
	t.Helper()
	s := &pb.State{}
	for part, err := range x.h.State(t.Context(), nil, true, 100) {
		require.NoError(t, err)
		proto.Merge(s, part.State)
	}
	return s
}

// requireWhole checks that nothing is half-done: what was asked for is there, and nothing else.
func (x *target) requireWhole(t testing.TB, after func() string) {
	t.Helper()
	r, err := x.h.Apply(t.Context(), &pb.ApplyRequest{State: x.state(t), DryRun: true}, "test")
	require.NoError(t, err, after())
	if r.Changed {
		require.Empty(t, r.Steps, after())
	}
	for _, s := range r.Summary {
		require.Zero(t, s.Foreign, "%v\n%s", s, after())
	}
}

// batch makes some calls, by many clients at a time, and looks at what they leave.
func (x *target) batch(t testing.TB, data []byte, clients, calls int) map[string]int {
	t.Helper()
	answers := make(map[string]int)
	var made []string
	var mu sync.Mutex
	var done sync.WaitGroup
	for i := range clients {
		g := &generator{choices: &choices{data[i*len(data)/clients:]}, objects: x.objects, namespaces: x.spaces}
		done.Go(func() {
			for range calls {
				c := g.call(x.all)
				code, text := c.answer(x.mux.ServeHTTP)
				mu.Lock()
				answers[code]++
				made = append(made, text)
				if code == "internal" || code == "unknown" {
					t.Errorf("an error without a meaning: %s", text)
				}
				mu.Unlock()
			}
		})
	}
	done.Wait()
	x.requireWhole(t, func() string { return strings.Join(made[max(0, len(made)-20):], "\n") })
	return answers
}

// answer is the code, and all for people.
func (c call) answer(handle http.HandlerFunc) (code, text string) {
	answer := strings.ToValidUTF8(c.do(handle).Body.String(), "?")
	code = "ok"
	if _, rest, ok := strings.Cut(answer, `"code":"`); ok {
		code, _, _ = strings.Cut(rest, `"`)
	}
	body := strings.ToValidUTF8(string(c.bodies[0][:min(len(c.bodies[0]), 3000)]), "?")
	return code, fmt.Sprintf("%s %s -> %s", c.method.Name(), body, answer[:min(len(answer), 600)])
}

// TestHostileCalls: whatever clients send, no handler panics, every error has a meaning, nothing is left half-done or
// open, and the next daemon finds all as it was. MIZAR_SEED and MIZAR_SECONDS say what, and how long.
func TestHostileCalls(t *testing.T) {
	testutil.Leaks(t)
	x := newTarget(t)
	seed, seconds := rand.Uint64(), 6
	if n, err := strconv.ParseUint(os.Getenv("MIZAR_SEED"), 10, 64); err == nil {
		seed = n
	}
	if n, err := strconv.Atoi(os.Getenv("MIZAR_SECONDS")); err == nil {
		seconds = n
	}
	t.Logf("MIZAR_SEED=%d", seed)
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), byte(seed >> 32), byte(seed >> 40), byte(seed >> 48), byte(seed >> 56)})
	answers := make(map[string]int)
	data := make([]byte, 64<<10)
	for began, n := time.Now(), 0; time.Since(began) < time.Duration(seconds)*time.Second && !t.Failed(); n++ {
		_, _ = random.Read(data)
		for code, n := range x.batch(t, data, 1+3*(n%2), 20) {
			answers[code] += n
		}
		if n%20 == 19 { // the next daemon
			was, etag := x.state(t), x.h.Etag()
			require.NoError(t, x.h.Close())
			x.open(t)
			require.Equal(t, etag, x.h.Etag())
			health, err := x.h.Health(t.Context())
			require.NoError(t, err)
			require.Empty(t, health.Problems)
			require.Empty(t, health.Repairs)
			require.True(t, proto.Equal(was, x.state(t)) || len(was.Endpoints) > 1, "%v\n%v", was, x.state(t)) // these have no order
		}
	}
	t.Logf("%v", answers)
	for _, code := range []string{"ok", "invalid_argument", "not_found", "already_exists"} {
		require.NotZero(t, answers[code], code)
	}
	_, err := x.h.Apply(t.Context(), &pb.ApplyRequest{State: &pb.State{}}, "test")
	require.NoError(t, err)
}

// FuzzCalls is the same, with what the fuzzer makes of what gets further.
func FuzzCalls(f *testing.F) {
	x := newTarget(f)
	random := rand.NewChaCha8([32]byte{})
	for range 4 {
		data := make([]byte, 4<<10)
		_, _ = random.Read(data)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { x.batch(t, data, 1, 8) })
}

// FuzzBodies sends any bytes to any procedure.
func FuzzBodies(f *testing.F) {
	x := newTarget(f)
	for i := range x.all {
		f.Add(i, true, []byte(`{}`))
		f.Add(i, false, []byte{10, 2, 8, 7})
	}
	f.Fuzz(func(t *testing.T, method int, json bool, body []byte) {
		c := call{method: x.all[uint(method)%uint(len(x.all))], json: json, bodies: [][]byte{body}}
		c.do(x.mux.ServeHTTP)
		x.requireWhole(t, func() string { return fmt.Sprintf("%s %q", c.method.FullName(), body) })
	})
}

// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// What is in the files is what the daemon gets: several files, several documents, YAML and JSON, and objects' bytes.
func TestApply(t *testing.T) {
	b := newBench(t)
	b.plan = &v1.ApplyResponse{}
	require.NoError(t, os.Mkdir("sub", 0o700))
	b.file("sub/f.o", "\x7fELF")
	one := b.file("sub/one.yaml", `
peers:
- prefix: 192.0.2.0/24
  cookie: 18446744073709551615
vpcs:
- &seven {vni: 7, dividers: [192.0.2.1, "2001:db8::1"], noDirectPath: True}
functions:
- name: f
  objectFile: f.o
  variables: {limit: 6AMAAA==}
---
---
vpcs:
- {vni: 0x8, no_direct_path: true, etag: e1}
localEndpoints:
- vni: 7
  addresses: [10.0.0.1/24]
  routes: [{destination: 10.1.0.0/16, via: 10.0.0.254}]
  ovs: {bridge: br0, workloadPort: vm3}
  mode: tcx
`)
	b.file("two.json", "{\n\t\"vpcs\": [{\"vni\": 9, \"cookie\": \"5\"}],\n\t\"stages\": [{\"scope\": {\"point\": \"STAGE_POINT_DELIVER\"}, \"functions\": [\"f\"]}]}")
	require.Equal(t, "nothing to change\n", b.ok("apply -f "+one+" -f two.json --dry-run --etag s1"))
	want := &v1.ApplyRequest{DryRun: true, Etag: "s1", State: &v1.State{
		Peers: []*v1.Peer{{Prefix: "192.0.2.0/24", Cookie: 1<<64 - 1}},
		Vpcs: []*v1.Vpc{
			{Vni: 7, Dividers: []string{"192.0.2.1", "2001:db8::1"}, NoDirectPath: true}, {Vni: 8, NoDirectPath: true, Etag: "e1"}, {Vni: 9, Cookie: 5},
		},
		Functions: []*v1.Function{{Name: "f", Object: []byte("\x7fELF"), Variables: map[string][]byte{"limit": {0xe8, 3, 0, 0}}}},
		LocalEndpoints: []*v1.LocalEndpoint{{
			Vni: 7, Addresses: []string{"10.0.0.1/24"}, Routes: []*v1.WorkloadRoute{{Destination: "10.1.0.0/16", Via: "10.0.0.254"}},
			Place: &v1.LocalEndpoint_Ovs{Ovs: &v1.OvsPort{Bridge: "br0", WorkloadPort: "vm3"}}, Mode: v1.Mode_MODE_TCX,
		}},
		Stages: []*v1.Stage{{Scope: &v1.StageScope{Point: v1.StagePoint_STAGE_POINT_DELIVER}, Functions: []string{"f"}}},
	}}
	require.True(t, proto.Equal(want, b.applied), "%v", b.applied)

	// --kinds: nothing is sent of others.
	b.ok("apply -f " + one + " --kinds vpcs,local-endpoint")
	want = &v1.ApplyRequest{Kinds: []v1.Kind{v1.Kind_KIND_VPC, v1.Kind_KIND_LOCAL_ENDPOINT}, State: &v1.State{
		Vpcs: want.State.Vpcs[:2], LocalEndpoints: want.State.LocalEndpoints,
	}}
	require.True(t, proto.Equal(want, b.applied), "%v", b.applied)

	// An empty state is one: all goes. A file with nothing in it is none: what should have written it failed.
	b.file("empty.yaml", "{}")
	b.ok("apply -f empty.yaml")
	require.True(t, proto.Equal(&v1.ApplyRequest{State: &v1.State{}}, b.applied))
	b.applied = nil
	for _, nothing := range []string{"", "# all is gone\n", "---\n---\n"} {
		b.file("nothing.yaml", nothing)
		b.fails(exitUsage, "apply -f nothing.yaml", "nothing.yaml: nothing is in it: ", "{}")
		b.fails(exitUsage, "apply -f "+one+" -f nothing.yaml", "nothing.yaml: nothing is in it: ")
	}
	require.Nil(t, b.applied)

	// Nor are kinds that an unset variable should have named all of them.
	code, _, err := b.runWith(t.Context(), "", "apply", "-f", one, "--kinds", "")
	require.Equal(t, exitUsage, code)
	require.Contains(t, err, "--kinds names none: there are peers, ")
	require.Nil(t, b.applied)

	// A file with a mistake reaches nobody.
	b.applied = nil
	b.file("bad.yaml", "vpcs: [{vni: x}]")
	b.fails(exitUsage, "apply -f "+one+" -f bad.yaml", "bad.yaml:1: vpcs[0].vni")
	require.Nil(t, b.applied)
}

// What get state prints, apply takes.
func TestStateRoundTrip(t *testing.T) {
	b := newBench(t)
	b.plan = &v1.ApplyResponse{}
	for _, line := range []string{
		"add vpc 7 --cookie 5", "add network 7/2001:db8::/64 --bouncer 2001:db8::1", "add peer 192.0.2.0/24", "create droplet eth0 --mode tcx",
		"create endpoint 7/10.0.0.1/24 --bridge br0 --route 10.1.0.0/16", "set stage drop/7/10.0.0.1 --function 1,2,yes", "add bridge 0x10",
		"add route 100/203.0.113.0/24 --via 192.0.2.1", "add address eth0/192.0.2.1/24", "add endpoint 7/10.0.0.2 --at 192.0.2.2",
	} {
		b.ok(line)
	}
	want := new(v1.State)
	for _, n := range b.nouns {
		for _, m := range b.rows[n.kind] {
			want.ProtoReflect().Mutable(n.stateField()).List().Append(protoValue(m))
		}
	}
	for _, form := range []string{"yaml", "json"} {
		b.file("state", b.ok("get state -o "+form))
		b.ok("apply -f state")
		require.True(t, proto.Equal(want, b.applied.GetState()), "%s: %v", form, b.applied.GetState())
	}
}

// Nothing that is read ends the program, and every refusal says it was the file.
func FuzzState(f *testing.F) {
	for _, text := range sessionFiles {
		f.Add([]byte(text))
	}
	for _, text := range []string{"a: &a [*a]", "vpcs: &a\n- *a", "? [a]\n: b", "vpcs: [null]", "functions: [{variables: {1: a}}]", "{\t}", "- ", "!!binary a", "vpcs:\n- !!int vni: 7"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := &reader{file: "fuzz", dir: "/nowhere"}
		all, err := r.documents(text)
		for _, n := range all {
			if err == nil {
				err = r.message(n, new(v1.State).ProtoReflect(), "")
			}
		}
		var wrong usageError
		if err != nil && !errors.As(err, &wrong) {
			t.Fatalf("not the caller's mistake: %v", err)
		}
	})
}

// An interrupted apply says so.
func TestApplyInterrupted(t *testing.T) {
	b := newBench(t)
	b.file("empty.yaml", "{}")
	ctx, cancel := context.WithCancel(t.Context())
	b.fail = func(string) error { cancel(); <-ctx.Done(); return nil }
	code, _, err := b.runWith(ctx, "", "apply", "-f", "empty.yaml")
	require.Equal(t, exitError, code)
	require.Equal(t, "transitctl: interrupted: the daemon ends what it has begun: apply it again, or see what is left with --dry-run\n", err)
	// One that was never sent has nothing to say.
	code, _, err = b.runWith(ctx, "", "apply", "-f", "empty.yaml")
	require.Equal(t, exitError, code)
	require.Equal(t, "transitctl: interrupted\n", err)
}

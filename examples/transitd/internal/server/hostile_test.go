// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/mizar-go/mizar/internal/testutil"
)

// TestHostileValues: what could be a path, a number that wraps or nothing at all is refused for what it is, and leaves
// no trace.
func TestHostileValues(t *testing.T) {
	testutil.Leaks(t)
	x := newTarget(t)
	b64 := func(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
	bytes64K := b64(make([]byte, 64<<10))
	call1 := func(method, body string) (code, text string) {
		i := slices.IndexFunc(x.all, func(m protoreflect.MethodDescriptor) bool { return string(m.Name()) == method })
		require.GreaterOrEqual(t, i, 0, method)
		return call{method: x.all[i], json: true, bodies: [][]byte{[]byte(body)}}.answer(x.mux.ServeHTTP)
	}
	code, text := call1("LoadFunction", fmt.Sprintf(`{"function":{"name":"log","object":%q}}`, b64(x.objects[0])))
	require.Equal(t, "ok", code, text)
	was := x.h.Etag()

	endpoint := func(more string) string {
		return fmt.Sprintf(`{"endpoint":{"vni":7,"addresses":["10.0.0.1/24"],"netns":%q%s}}`, x.spaces[0], more)
	}
	elf := slices.Clone(x.objects[0])
	clear(elf[64:256])
	for _, c := range []struct{ method, body, code string }{
		{"AttachDroplet", `{"droplet":{"interface":"../../x"}}`, "invalid_argument"},
		{"AttachDroplet", `{"droplet":{"interface":"a/b"}}`, "invalid_argument"},
		{"AttachDroplet", `{"droplet":{"interface":".."}}`, "invalid_argument"},
		{"AttachDroplet", `{"droplet":{"interface":"eth0\u0000"}}`, "invalid_argument"},
		{"AttachDroplet", `{"droplet":{"interface":"` + long + `"}}`, "invalid_argument"},
		{"AttachDroplet", `{"droplet":{"interface":"nosuch0"}}`, "not_found"},
		{"AttachDroplet", `{"droplet":{"interface":"eth0","addresses":["192.0.2.1","192.0.2.1"]}}`, "invalid_argument"},
		{"AttachDroplet", `{"droplet":{"interface":"eth0","mode":99}}`, "invalid_argument"},
		{"AttachDroplet", `{}`, "invalid_argument"},
		{"GetDroplet", `{}`, "not_found"},
		{"DetachDroplet", `{"interface":"../../x"}`, "not_found"},
		{"CreateEndpoint", `{}`, "invalid_argument"},
		{"CreateEndpoint", `{"endpoint":{}}`, "invalid_argument"},
		{"CreateEndpoint", `{"endpoint":{"vni":7,"addresses":["10.0.0.1/24"],"netns":"../../x"}}`, "invalid_argument"},
		{"CreateEndpoint", `{"endpoint":{"vni":7,"addresses":["10.0.0.1/24"],"netns":".."}}`, "invalid_argument"},
		{"CreateEndpoint", `{"endpoint":{"vni":7,"addresses":["10.0.0.1/24"],"netns":"/proc/self/ns/net"}}`, "invalid_argument"},
		{"CreateEndpoint", `{"endpoint":{"vni":7,"addresses":["10.0.0.1/24"],"netns":""}}`, "invalid_argument"},
		{"CreateEndpoint", `{"endpoint":{"vni":7,"addresses":["10.0.0.1/24"],"netns":"no-such"}}`, "not_found"},
		{"CreateEndpoint", `{"endpoint":{"vni":7,"addresses":["10.0.0.1/24"],"bridge":{}}}`, "invalid_argument"},
		{"CreateEndpoint", `{"endpoint":{"vni":7,"addresses":["10.0.0.1/24"],"ovs":{}}}`, "invalid_argument"},
		{"CreateEndpoint", endpoint(`,"mtu":65536`), "invalid_argument"},
		{"CreateEndpoint", endpoint(`,"mtu":4294967295`), "invalid_argument"},
		{"CreateEndpoint", endpoint(`,"mtu":1`), "invalid_argument"},
		{"CreateEndpoint", endpoint(`,"routes":[{}]`), "invalid_argument"},
		{"CreateEndpoint", endpoint(`,"routes":[{"destination":"0.0.0.0/0","via":"10.0.0.1"}]`), "invalid_argument"},
		{"CreateEndpoint", endpoint(`,"hostInterface":"../../x"`), "invalid_argument"},
		{"CreateEndpoint", endpoint(`,"interface":"a/b"`), "invalid_argument"},
		{"CreateEndpoint", endpoint(`,"mac":"ff:ff:ff:ff:ff:ff"`), "invalid_argument"},
		{"AddEndpoint", `{}`, "invalid_argument"},
		{"AddEndpoint", `{"endpoint":{"vni":16777216,"address":"10.0.0.9","host":"192.0.2.2"}}`, "invalid_argument"},
		{"AddEndpoints", `{"endpoints":[{"vni":7,"address":"10.0.0.9","host":"192.0.2.2"},{"vni":7,"address":"10.0.0.9","host":"192.0.2.2"}]}`, "invalid_argument"},
		{"RemoveEndpoints", `{"keys":[{}]}`, "invalid_argument"},
		{"GetEndpoint", `{}`, "invalid_argument"},
		{"DeleteEndpoint", `{}`, "invalid_argument"},
		{"LoadFunction", `{}`, "invalid_argument"},
		{"LoadFunction", `{"function":{"name":"../../x","object":"f0VMRg=="}}`, "invalid_argument"},
		{"LoadFunction", `{"function":{"name":"transitd-trial","object":"f0VMRg=="}}`, "invalid_argument"},
		{"LoadFunction", `{"function":{"name":"f","object":"f0VMRg=="}}`, "invalid_argument"},
		{"LoadFunction", fmt.Sprintf(`{"function":{"name":"f","object":%q}}`, b64(x.objects[0][:len(x.objects[0])/2])), "invalid_argument"},
		{"LoadFunction", fmt.Sprintf(`{"function":{"name":"f","object":%q}}`, b64(elf)), "invalid_argument"},
		{"LoadFunction", fmt.Sprintf(`{"function":{"name":"f","object":%q,"variables":{"nosuch":"AA=="}}}`, b64(x.objects[0])), "invalid_argument"},
		{"UpdateFunctionMap", fmt.Sprintf(`{"function":"log","map":"drops","entries":[{"key":%q}]}`, bytes64K), "invalid_argument"},
		{"UpdateFunctionMap", fmt.Sprintf(`{"function":"log","map":"drops","deleteKeys":[%q]}`, bytes64K), "invalid_argument"},
		{"UpdateFunctionMap", `{"function":"log","map":"drops","entries":[{}]}`, "invalid_argument"},
		{"UpdateFunctionMap", `{"function":"log","map":"../x"}`, "not_found"},
		{"UpdateFunctionMap", `{"function":"../x","map":"drops"}`, "invalid_argument"},
		{"SetStage", `{}`, "invalid_argument"},
		{"SetStage", `{"stage":{"scope":{"point":99},"functions":["log"]}}`, "invalid_argument"},
		{"SetStage", `{"stage":{"scope":{"point":"STAGE_POINT_DROP"},"functions":[]}}`, "invalid_argument"},
		{"SetStage", `{"stage":{"scope":{"point":"STAGE_POINT_DROP"},"functions":["../x"]}}`, "invalid_argument"},
		{"SetStage", `{"stage":{"scope":{"point":"STAGE_POINT_DROP"},"functions":["no-such"]}}`, "not_found"},
		{"GetStage", `{}`, "invalid_argument"},
		{"AddPeer", `{"peer":{"prefix":"::/0"}}`, "invalid_argument"},
		{"AddNetwork", `{"network":{"vni":7,"prefix":"10.0.0.0/24","blackhole":true,"via":"10.0.0.1"}}`, "invalid_argument"},
		{"AddBridge", `{"bridge":{"name":"../../x"}}`, "invalid_argument"},
		{"AddBridge", `{"bridge":{"name":"br0","mtu":4294967295}}`, "invalid_argument"},
		{"AddRoute", `{"route":{"destination":"10.9.0.0/16","interface":"a/b"}}`, "invalid_argument"},
		{"AddAddress", `{"address":{"interface":"eth0","address":"10.0.0.1"}}`, "invalid_argument"},
		{"Apply", `{}`, "invalid_argument"},
		{"Apply", `{"state":{"vpcs":[{"vni":7},{"vni":7}]}}`, "invalid_argument"},
		{"Apply", `{"state":{"localEndpoints":[{}]}}`, "invalid_argument"},
		{"Apply", `{"state":{"stages":[{}]}}`, "invalid_argument"},
		{"Apply", `{"state":{},"kinds":[99]}`, "invalid_argument"},
		{"TracePacket", `{}`, "invalid_argument"},
	} {
		code, text := call1(c.method, c.body)
		if code != c.code {
			t.Errorf("%s, not %s: %s", code, c.code, text[:min(len(text), 1000)])
		}
		require.True(t, strings.Contains(text, `"details":`) || strings.Contains(text, "proto"), "%s", text) // every error has its detail
		require.Equal(t, was, x.h.Etag(), text[:min(len(text), 1000)])
	}
	x.requireWhole(t, func() string { return "" })
	code, text = call1("RemoveFunction", `{"name":"log"}`)
	require.Equal(t, "ok", code, text)
}

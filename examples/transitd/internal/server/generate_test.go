// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// choices are made of bytes, which a fuzzer changes; when there are none left, they are all the first.
type choices struct{ left []byte }

func (c *choices) of(n int) int {
	if n <= 1 || len(c.left) < 2 {
		return 0
	}
	v := int(binary.BigEndian.Uint16(c.left))
	c.left = c.left[2:]
	return v % n
}

// once in n times.
func (c *choices) once(n int) bool { return c.of(n) == n-1 }

func pick[T any](c *choices, all ...T) T { return all[c.of(len(all))] }

// procedures are all that are served.
func procedures() (all []protoreflect.MethodDescriptor) {
	protoregistry.GlobalFiles.RangeFilesByPackage("mizar.dataplane.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			methods := f.Services().Get(i).Methods()
			for j := range methods.Len() {
				all = append(all, methods.Get(j))
			}
		}
		return true
	})
	slices.SortFunc(all, func(a, b protoreflect.MethodDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return all
}

// generator makes messages of what makes sense, and of what does not.
type generator struct {
	*choices
	objects    [][]byte
	namespaces []string
	tame       bool // this message shall make sense, if only for itself
}

// needed fields are always there in a tame message, and others never: they do not go together with others, or
// something has to be there that is not.
var (
	needed = []protoreflect.Name{
		"vni", "prefix", "destination", "source", "address", "addresses", "host", "interface", "name", "object", "point", "functions", "function",
		"map", "scope", "key", "state", "keys",
	}
	unfit = []protoreflect.Name{"routes", "no_routes", "kinds", "variables", "tag", "workload_port", "ovs", "mode", "host_interface", "allowed"}
)

// leaves tells whether a field is left out.
func (g *generator) leaves(f protoreflect.FieldDescriptor) bool {
	if f.Name() == "status" {
		return true
	}
	if !g.tame {
		return g.once(5) || f.ContainingOneof() != nil && g.of(f.ContainingOneof().Fields().Len()) > 0
	}
	switch of := f.Parent().Name(); {
	case of == "State" && (f.Name() == "routes" || f.Name() == "local_endpoints" || f.Name() == "functions" || f.Name() == "stages"):
		return g.once(3)
	case of == "ApplyRequest" && f.Name() == "etag", of == "Droplet" && f.Name() == "addresses", of == "GetStateRequest":
		return true
	case of == "Network" && f.Name() == "bouncers":
		return false
	case of == "Network" && (f.Name() == "via" || f.Name() == "blackhole"):
		return true
	case of == "StageScope":
		return f.Name() == "address" && g.of(2) == 0
	case of == "LocalEndpoint" && f.Name() == "interface", of == "Endpoint" && f.Name() == "mac":
		return true
	case f.ContainingOneof() != nil:
		return f.Name() != "netns"
	}
	return slices.Contains(unfit, f.Name()) || !slices.Contains(needed, f.Name()) && g.once(3)
}

var long = strings.Repeat("x", 300)

// words are values of fields, by their names. The first make sense. What an endpoint has is not what a droplet, an
// address or a route has: with the one would go the other.
var words = map[protoreflect.Name][]string{
	"prefix":         {"10.0.0.0/24", "192.0.2.0/24", "10.0.1.0/24", "2001:db8::/64", "0.0.0.0/0", "::/0", "10.0.0.1/24", "::ffff:10.0.0.0/104", "10.0.0.0/33", "fe80::%eth0/64", "", long},
	"destination":    {"203.0.113.0/24", "10.9.0.0/16", "0.0.0.0/0", "2001:db8:9::/64", "203.0.113.1/24", "x", ""},
	"address":        {"10.0.0.1", "10.0.0.2", "10.0.0.9", "2001:db8::1", "198.51.100.1/32", "::ffff:10.0.0.1", "fe80::1%eth0", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "", "nonsense", long},
	"addresses":      {"10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/32", "2001:db8::1/64", "192.0.2.1", "192.0.2.9", "10.0.0.1/99", "0.0.0.0/0", "::ffff:10.0.0.1/120", "224.0.0.1/24", "", "x"},
	"allowed":        {"10.2.0.0/16", "0.0.0.0/0", "::/0", "2001:db8:5::/48", "10.2.0.1/16", "x"},
	"host":           {"192.0.2.2", "192.0.2.3", "2001:db8:ff::1", "127.0.0.1", "0.0.0.0", "::", "", "x"},
	"via":            {"192.0.2.2", "192.0.2.2", "192.0.2.1", "10.0.0.1", "2001:db8::1", "", "x"},
	"bouncers":       {"192.0.2.2", "192.0.2.3", "2001:db8:ff::1", "0.0.0.0", "x"},
	"dividers":       {"192.0.2.2", "192.0.2.3", "2001:db8:ff::1", "224.0.0.1", "x"},
	"interface":      {"eth0", "eth1", "eth0", "nosuch0", "lo", "../../x", "a/b", "..", "%d", "eth0 ", "eth0\x00", "averyveryverylongname", ""},
	"host_interface": {"mzf1", "mzf2", "", "..", "a/b", "eth0", "averyveryverylongname", "mz\x7f"},
	"adopt":          {"tap0", "nosuch0", "lo", "../../x", ""},
	"bridge":         {"br0", "br1", "eth0", "../../x", ""},
	"ports":          {"p2", "p2", "p2", "nosuch0", "..", ""},
	"workload_port":  {"w1", "a/b", ""},
	"source":         {"10.0.0.1", "10.0.0.2", "2001:db8::1", "10.0.0.1/32", "::ffff:10.0.0.1", "", "x"},
	"from":           {"", "192.0.2.2", "192.0.2.3", "2001:db8:ff::1", "x"},
	"name":           {"f1", "f1", "f2", "br0", "br1", "f3", "transitd-trial", "../f", ".", "", "a b", long, "\u202e"},
	"function":       {"f1", "f1", "f2", "f3", "nosuch", "../f", ""},
	"functions":      {"f1", "f1", "f2", "f3", "nosuch", "../f", ""},
	"map":            {"drops", "copies", "buckets", ".rodata", "nosuch", ""},
	"mac":            {"", "02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "02:00:00:00:00:00:00:01", "x"},
	"etag":           {"*", "", "0123456789abcdef", long},
}

var numbers = map[protoreflect.Name][]uint64{
	"vni":   {7, 8, 0, 1<<24 - 1, 1 << 24, 1<<32 - 1},
	"vnis":  {7, 0, 1 << 24},
	"mtu":   {0, 1400, 1500, 1280, 68, 67, 1, 65535, 65536, 1<<32 - 1},
	"table": {0, 254, 100, 1<<32 - 1},
	"tag":   {0, 5, 4094, 4095, 1<<32 - 1},
}

func (g *generator) fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if g.leaves(f) {
			continue
		}
		switch {
		case f.IsMap():
			to := m.Mutable(f).Map()
			for range g.of(3) {
				to.Set(protoreflect.ValueOfString(pick(g.choices, "mirror", "limit", "x", "")).MapKey(), g.value(f.MapValue(), nil, depth))
			}
		case f.IsList():
			to := m.Mutable(f).List()
			if depth > 4 {
				continue
			}
			n := g.of(4)
			if g.tame && slices.Contains(needed, f.Name()) {
				n = 1
			} else if g.tame {
				n = g.of(2)
				if f.Name() == "bouncers" {
					n = 1
				}
			}
			for range n {
				if to.Len() > 0 && g.once(8) {
					to.Append(to.Get(0)) // twice
					continue
				}
				to.Append(g.value(f, to.NewElement, depth))
			}
		default:
			if v := g.value(f, func() protoreflect.Value { return m.NewField(f) }, depth); v.IsValid() {
				m.Set(f, v)
			}
		}
	}
}

func (g *generator) value(f protoreflect.FieldDescriptor, fresh func() protoreflect.Value, depth int) protoreflect.Value {
	few := func(all []string) string { // what makes sense comes more often
		if len(all) > 3 && (g.tame || !g.once(3)) {
			all = all[:3]
		}
		return pick(g.choices, all...)
	}
	switch f.Kind() {
	case protoreflect.MessageKind:
		v := fresh()
		if depth < 6 {
			g.fill(v.Message(), depth+1)
		}
		return v
	case protoreflect.StringKind:
		all := words[f.Name()]
		switch {
		case f.Name() == "address" && f.Parent().Name() == "Address":
			all = []string{"198.51.100.1/32", "198.51.100.2/32", "2001:db8:7::1/128", "10.0.0.1", "0.0.0.0/0", ""}
		case f.Name() == "name" && f.Parent().Name() == "Bridge" && g.tame:
			all = []string{"br0", "br1"}
		case f.Name() == "destination" && f.Parent().Name() == "TracePacketRequest":
			all = words["source"]
		case f.Name() == "netns":
			all = append(append(slices.Clone(g.namespaces), g.namespaces[0]), "../../x", "nosuch", ".", "..", "/proc/self/ns/net", "", long)
		case f.Name() == "interface" && f.Parent().Name() == "LocalEndpoint":
			all = []string{"", "eth0", "net1", "a/b", "..", "averyveryverylongname"}
		case all == nil:
			all = []string{"", "x", long, "\u202e%s%n"}
		}
		return protoreflect.ValueOfString(few(all))
	case protoreflect.BytesKind:
		switch f.Name() {
		case "object":
			o := pick(g.choices, g.objects...)
			if !g.tame && g.once(3) {
				o = g.mutate(o)
			}
			return protoreflect.ValueOfBytes(o)
		case "packet":
			return protoreflect.ValueOfBytes(g.bytes(g.of(200)))
		}
		return protoreflect.ValueOfBytes(g.bytes(pick(g.choices, 4, 0, 40, 16, 64<<10, 8)))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(g.of(2) == 1)
	case protoreflect.EnumKind:
		if g.tame {
			return protoreflect.ValueOfEnum(protoreflect.EnumNumber(1 + g.of(f.Enum().Values().Len()-1)))
		}
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(g.of(f.Enum().Values().Len()+1) - g.of(20)/19))
	case protoreflect.Uint32Kind:
		all := numbers[f.Name()]
		if all == nil {
			all = []uint64{0, 1, 1<<32 - 1}
		}
		switch {
		case g.tame:
			all = all[:2]
		case len(all) > 3 && !g.once(3):
			all = all[:3]
		}
		return protoreflect.ValueOfUint32(uint32(pick(g.choices, all...)))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(pick[uint64](g.choices, 0, 1, 1<<64-1))
	}
	return protoreflect.Value{}
}

func (g *generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range min(n, 64) {
		b[i] = byte(g.of(256))
	}
	return b
}

// mutate flips, cuts and doubles.
func (g *generator) mutate(b []byte) []byte {
	b = slices.Clone(b)
	for range 1 + g.of(8) {
		if len(b) == 0 {
			return b
		}
		at := (g.of(1<<16)<<8 + g.of(256)) % len(b)
		switch g.of(6) {
		case 0:
			b = b[:at]
		case 1:
			b = append(b[:at:at], b[min(len(b), at+1+g.of(8)):]...)
		case 2:
			b = append(b[:at:at], append(g.bytes(g.of(8)), b[at:]...)...)
		default:
			b[at] ^= 1 << g.of(8)
		}
	}
	return b
}

// call is one request.
type call struct {
	method protoreflect.MethodDescriptor
	json   bool
	bodies [][]byte // of a stream: each message
}

func (g *generator) call(all []protoreflect.MethodDescriptor) call {
	c := call{method: all[g.of(len(all))], json: g.of(2) == 1}
	if g.once(4) { // the one that does most
		c.method = all[slices.IndexFunc(all, func(m protoreflect.MethodDescriptor) bool { return m.Name() == "Apply" })]
	}
	n := 1
	if c.method.IsStreamingClient() {
		n = 1 + g.of(3)
	}
	for range n {
		g.tame = g.of(3) > 0
		m := dynamicpb.NewMessage(c.method.Input())
		g.fill(m, 0)
		var body []byte
		var err error
		if c.json {
			body, err = protojson.Marshal(m)
		} else {
			body, err = proto.Marshal(m)
		}
		if err != nil {
			panic(err)
		}
		if !g.tame && g.once(4) {
			body = g.mutate(body)
		}
		c.bodies = append(c.bodies, body)
	}
	return c
}

// do makes the call to the handlers themselves: what panics there ends the test.
func (c call) do(handle http.HandlerFunc) *httptest.ResponseRecorder {
	kind := map[bool]string{true: "json", false: "proto"}[c.json]
	var body []byte
	stream := c.method.IsStreamingClient() || c.method.IsStreamingServer()
	if stream {
		for _, b := range c.bodies {
			body = append(binary.BigEndian.AppendUint32(append(body, 0), uint32(len(b))), b...)
		}
		kind = "connect+" + kind
	} else {
		body = c.bodies[0]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	if c.method.Name() == "WatchEvents" {
		ctx, cancel = context.WithTimeout(context.Background(), 5*time.Millisecond)
	}
	defer cancel()
	path := "/" + string(c.method.Parent().FullName()) + "/" + string(c.method.Name())
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(body))
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	r.Header.Set("Content-Type", "application/"+kind)
	w := httptest.NewRecorder()
	handle(w, r)
	return w
}

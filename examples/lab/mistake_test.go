// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// right is a file without a mistake. Each test makes one, by replacing something.
const right = `underlay: {kind: switched, mtu: 1500}
hosts:
  a: {addresses: [192.0.2.1/24], mode: native}
  b: {addresses: [192.0.2.2/24, "2001:db8::2/64"]}
vpcs:
  red:
    vni: 7
    dividers: [b]
    networks:
      10.0.1.0/24: {bouncers: [a, b]}
      10.0.0.0/16: {}
      "fd00::/64": {}
    endpoints:
      web: {host: a, addresses: [10.0.1.1, "fd00::1"], mtu: 1400, mode: native}
      db: {host: b, addresses: [10.0.1.2]}
  blue:
    vni: 8
    networks:
      10.0.1.0/24:
    endpoints:
      shop: {host: a, addresses: [10.0.1.1]}
`

func TestNoMistake(t *testing.T) {
	p, err := parse("f.yaml", "x", right)
	require.NoError(t, err)
	require.Len(t, p.hosts, 2)
	require.Len(t, p.vpcs, 2)
	require.Equal(t, []string{"x-underlay", "x-a", "x-b", "x-web", "x-db", "x-shop"}, p.namespaces())
	require.Equal(t, "10.0.1.1/24", p.vpcs[0].places[0].addrs[0].String(), "with the length of the longest network")
}

func TestMistakes(t *testing.T) {
	routed := []string{"kind: switched", "kind: routed", "192.0.2.2/24, ", "198.51.100.2/24, "}
	for _, m := range []struct {
		name    string
		replace []string // old, new
		want    []string // line: reason, each
	}{
		{"nothing", []string{right, ""}, []string{"1: nothing is in it"}},
		{"no mapping", []string{right, "hosts"}, []string{"1: lab: not a mapping"}},
		{"open brace", []string{"mode: native}\n  b", "mode: native\n  b"}, []string{"3: did not find expected ',' or '}'"}},
		{"open bracket", []string{"[10.0.1.2]", "[10.0.1.2"}, []string{"15: did not find expected ',' or ']'"}},
		{"open quote, which the next closes", []string{`"2001:db8::2/64"`, `"2001:db8::2/64`}, []string{"12: did not find expected ',' or ']'"}},
		{"indent", []string{"    dividers", "   dividers"}, []string{"8: did not find expected key"}},
		{"list in a mapping", []string{"    dividers", "    - dividers"}, []string{"8: "}},
		{"unknown alias", []string{`"fd00::/64": {}`, `"fd00::/64": *n`}, []string{"12: unknown anchor 'n' referenced"}},
		{"control character", []string{"host: b", "host: \x01"}, []string{"15: control characters are not allowed"}},
		{"no UTF-8", []string{"host: b", "host: \xff"}, []string{"15: invalid leading UTF-8 octet"}},
		{"second document with a mistake", []string{"vpcs:", "---\nvpcs: ]"}, []string{"6: did not find expected node content"}},
		{"tab", []string{"  red:", "\tred:"}, []string{"6: found character that cannot start any token"}},
		{"second document", []string{"vpcs:", "---\nvpcs:"}, []string{"5: a second document"}},
		{"key at the top", []string{"vpcs:", "vpc:"}, []string{`5: lab: key "vpc" is not known`}},
		{"no hosts", []string{right, "vpcs: {}\n"}, []string{"1: lab: hosts is missing"}},
		{"empty hosts", []string{right, "hosts: {}\n"}, []string{"1: no host"}},
		{"hosts as a list", []string{right, "\nhosts: [a, b]\n"}, []string{"2: hosts: not a mapping"}},

		{"kind", []string{"kind: switched", "kind: hub"}, []string{`1: kind of underlay: "hub" is none of switched, routed`}},
		{"underlay's MTU", []string{"mtu: 1500", "mtu: 900"}, []string{`1: MTU of the underlay: "900" is not a number from 1354 to 65535`}},
		{"MTU too small for IPv6", []string{"mtu: 1500", "mtu: 1360"}, []string{"4: host b: the underlay's MTU of 1360 is less than tunnels over IPv6 take: 1374"}},
		{"MTU that is no number", []string{"mtu: 1500", "mtu: big"}, []string{`1: MTU of the underlay: "big"`}},

		{"host twice", []string{"  b: {addresses: [192", "  a: {addresses: [192"}, []string{`4: hosts: "a" is there twice, first on line 3`, "8: dividers of VPC red: there is no host", "10: ", "15: "}},
		{"host without address", []string{"addresses: [192.0.2.1/24], ", ""}, []string{"3: host a: addresses is missing"}},
		{"host with no address", []string{"[192.0.2.1/24]", "[]"}, []string{"3: host a: no address"}},
		{"host's address without length", []string{"192.0.2.1/24", "192.0.2.1"}, []string{`3: host a: "192.0.2.1" is no address with a prefix length`}},
		{"host's address is no list", []string{"[192.0.2.1/24]", "192.0.2.1/24"}, []string{"3: host a: not a list: [192.0.2.1/24]"}},
		{"address of two hosts", []string{"192.0.2.2/24", "192.0.2.1/24"}, []string{"4: host b: 192.0.2.1 is host a's already"}},
		{"two addresses of a family", []string{`"2001:db8::2/64"`, "192.0.2.3/24"}, []string{"4: host b: one address of a family"}},
		{"multicast host", []string{"192.0.2.1/24", "224.0.0.1/24"}, []string{"3: host a: 224.0.0.1 is nobody's"}},
		{"broadcast host", []string{"192.0.2.1/24", "192.0.2.255/24"}, []string{"3: host a: 192.0.2.255 is the network's own"}},
		{"another network on a switch", []string{"192.0.2.2/24", "198.51.100.2/24"}, []string{"4: host b: 198.51.100.2/24 is not in 192.0.2.0/24 as on line 3"}},
		{"families", []string{`192.0.2.2/24, "2001:db8::2/64"`, `"2001:db8::2/64"`}, []string{"4: host b: its first address is 2001:db8::2, and that of host a is 192.0.2.1"}},
		{"host's mode", []string{"mode: native}\n  b", "mode: offload}\n  b"}, []string{`3: mode of host a: "offload" is none of auto, tcx, native, generic`, "14: endpoint web: mode native, and that of its host a is not"}},
		{"host's MTU on a switch", []string{"mode: native}\n  b", "mode: native, mtu: 9000}\n  b"}, []string{"3: host a: MTU 9000, and the underlay's is 1500"}},
		{"host's key", []string{"mode: native}\n  b", "modes: native}\n  b"}, []string{`3: host a: key "modes" is not known; there are addresses, mtu, mode`, "14: "}},
		{"long host", []string{"  b:", "  a-long-name-x:"}, []string{"4: host \"a-long-name-x\": a name has 1 to 12", "8: ", "10: ", "15: "}},
		{"host's name", []string{"  b:", "  b/c:"}, []string{"4: host \"b/c\": a name has", "8: ", "10: ", "15: "}},
		{"underlay as host", []string{"  b:", "  underlay:"}, []string{`4: host "underlay": the name is taken by the underlay`, "8: ", "10: ", "15: "}},

		{"router's address", append(routed, "192.0.2.1/24", "192.0.2.1/24"), []string{"3: host a: 192.0.2.1 is the router's"}},
		{"no room for the router", append(routed, "192.0.2.1/24", "192.0.2.1/31"), []string{"3: host a: 192.0.2.1/31 leaves no address for the router"}},
		{"overlap", []string{"kind: switched", "kind: routed", "192.0.2.1/24", "192.0.2.3/24", "192.0.2.2/24", "192.0.2.130/25"}, []string{"4: host b: 192.0.2.128/25 overlaps with 192.0.2.0/24 on line 3"}},

		{"no VNI", []string{"    vni: 7\n", ""}, []string{"6: VPC red: vni is missing"}},
		{"VNI 0", []string{"vni: 7", "vni: 0"}, []string{`7: VNI of VPC red: "0" is not a number from 1 to 16777215`}},
		{"VNI of 25 bits", []string{"vni: 7", "vni: 16777216"}, []string{"7: VNI of VPC red"}},
		{"VNI twice", []string{"vni: 8", "vni: 7"}, []string{"17: VPC blue: VNI 7 is that of VPC red"}},
		{"unknown divider", []string{"[b]", "[d]"}, []string{`8: dividers of VPC red: there is no host "d"`}},
		{"divider twice", []string{"[b]", "[b, b]"}, []string{"8: dividers of VPC red: host b is there twice"}},
		{"list in a list", []string{"[b]", "[[b]]"}, []string{"8: dividers of VPC red: not a list of plain values"}},
		{"unknown bouncer", []string{"[a, b]", "[a, c]"}, []string{`10: bouncers of network 10.0.1.0/24 of VPC red: there is no host "c"`}},
		{"no networks", []string{"    networks:\n      10.0.1.0/24:\n", ""}, []string{"16: VPC blue: networks is missing", "19: endpoint shop: 10.0.1.1 is in no network of VPC blue"}},
		{"network not masked", []string{"10.0.0.0/16", "10.0.0.1/16"}, []string{"11: network 10.0.0.1/16 of VPC red: bits are set beyond its length: 10.0.0.0/16 is meant"}},
		{"network of everything", []string{"10.0.0.0/16", "0.0.0.0/0"}, []string{"11: network 0.0.0.0/0 of VPC red: "}},
		{"network twice", []string{"10.0.0.0/16", "10.0.1.0/24"}, []string{`11: networks of VPC red: "10.0.1.0/24" is there twice`}},
		{"network twice, in other words", []string{"10.0.0.0/16: {}", `"fd00:0::/64": {}`}, []string{"12: network fd00::/64 of VPC red: it is there already"}},
		{"multicast network", []string{"10.0.0.0/16", "224.0.0.0/16"}, []string{"11: network 224.0.0.0/16 of VPC red: 224.0.0.0 is nobody's"}},

		{"no endpoint's host", []string{"{host: b, ", "{"}, []string{"15: endpoint db: host is missing"}},
		{"unknown host", []string{"host: b", "host: c"}, []string{`15: endpoint db: there is no host "c"`}},
		{"endpoint's address with length", []string{"[10.0.1.2]", "[10.0.1.2/24]"}, []string{`15: endpoint db: "10.0.1.2/24" is no address`}},
		{"endpoint without address", []string{"[10.0.1.2]", "[]"}, []string{"15: endpoint db: no address"}},
		{"outside the networks", []string{"10.0.1.2", "10.1.1.2"}, []string{"15: endpoint db: 10.1.1.2 is in no network of VPC red"}},
		{"address twice", []string{"10.0.1.2", "10.0.1.1"}, []string{"15: endpoint db: 10.0.1.1 is endpoint web's already"}},
		{"network's own address", []string{"10.0.1.2", "10.0.1.0"}, []string{"15: endpoint db: 10.0.1.0 is the network's own"}},
		{"link-local", []string{`"fd00::1"`, `"fe80::1"`}, []string{"14: endpoint web: fe80::1 is nobody's"}},
		{"endpoint's MTU", []string{"mtu: 1400", "mtu: 1200"}, []string{`14: MTU of endpoint web: "1200" is not a number from 1280 to 65535`}},
		{"endpoint's mode", []string{"host: b,", "host: b, mode: native,"}, []string{"15: endpoint db: mode native, and that of its host b is not"}},
		{"long endpoint", []string{"db:", "a-database-of-16:"}, []string{"15: endpoint \"a-database-of-16\": a name has 1 to 15"}},
		{"interface of the host", []string{"db:", "uplink:"}, []string{`15: endpoint "uplink": the name is taken by an interface`}},
		{"endpoint as a host", []string{"db:", "b:"}, []string{`15: endpoint "b": the name is taken on line 4`}},
		{"endpoint of another VPC", []string{"shop:", "web:"}, []string{`21: endpoint "web": the name is taken on line 14`}},
		{"several at once", []string{"vni: 8", "vni: 0", "[10.0.1.2]", "[10.9.0.1]", "kind: switched", "kind: x"}, []string{"1: kind", "15: endpoint db", "17: VNI"}},
	} {
		t.Run(m.name, func(t *testing.T) {
			text := right
			for i := 0; i < len(m.replace); i += 2 {
				require.Contains(t, text, m.replace[i])
				text = strings.Replace(text, m.replace[i], m.replace[i+1], 1)
			}
			_, err := parse("f.yaml", "x", text)
			require.Error(t, err)
			lines := strings.Split(err.Error(), "\n")
			require.Len(t, lines, len(m.want), err.Error())
			for i, want := range m.want {
				require.Regexp(t, `^f.yaml:\d+: `, lines[i])
				require.Contains(t, lines[i], want)
			}
		})
	}
}

// An alias stands for what it is of.
func TestAlias(t *testing.T) {
	text := strings.Replace(right, "10.0.1.0/24: {bouncers: [a, b]}", "10.0.1.0/24: &n {bouncers: [a]}", 1)
	p, err := parse("f.yaml", "x", strings.Replace(text, `"fd00::/64": {}`, `"fd00::/64": *n`, 1))
	require.NoError(t, err)
	require.Equal(t, "a", p.vpcs[0].networks[2].bouncers[0].name)
}

func TestNames(t *testing.T) {
	require.Equal(t, "two-hosts", nameOf("examples/lab/two-hosts.yaml"))
	for _, name := range []string{"", "a.b", "a/b", "..", "-a", "a-name-of-twenty-one", "ä"} {
		_, err := parse("f.yaml", name, right)
		require.ErrorContains(t, err, "name", name)
	}
}

// What has a mistake is not begun.
func TestMistakeBuildsNothing(t *testing.T) {
	name := newName(t)
	var out strings.Builder
	err := up(t.Context(), &out, "f.yaml", name, strings.Replace(right, "vni: 8", "vni: 0", 1))
	require.ErrorContains(t, err, "f.yaml:17: ")
	require.Empty(t, out.String())
	require.Empty(t, leftOf(t, name))
}

// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/maps"
)

func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func good() Config {
	return Config{VNI: 7, Addrs: prefixes("192.0.2.10/24", "2001:db8:7::10/64")}
}

func TestConfigDefaults(t *testing.T) {
	require.NoError(t, good().Validate())
	c, err := good().validate()
	require.NoError(t, err)
	require.Equal(t, "eth0", c.Interface)
	require.Equal(t, TCX, c.Mode)
	require.Equal(t, []Route{{Dst: netip.MustParsePrefix("0.0.0.0/0")}, {Dst: netip.MustParsePrefix("::/0")}}, c.routes(false))
	require.Empty(t, c.routes(true), "a default route into the data-plane's own namespace")

	c.Addrs = prefixes("2001:db8:7::10/64")
	require.Equal(t, []Route{{Dst: netip.MustParsePrefix("::/0")}}, c.routes(false))
	c.Routes = []Route{}
	require.Empty(t, c.routes(false))
}

func TestConfigAccepts(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"as it is":        func(c *Config) {},
		"largest VNI":     func(c *Config) { c.VNI = 1<<24 - 1 },
		"host prefixes":   func(c *Config) { c.Addrs = prefixes("192.0.2.10/32", "2001:db8:7::10/128") },
		"link-local IPv4": func(c *Config) { c.Addrs = prefixes("169.254.169.254/32") },
		"a router":        func(c *Config) { c.Allowed = prefixes("0.0.0.0/0", "::/0") },
		"routes": func(c *Config) {
			c.Routes = []Route{{Dst: netip.MustParsePrefix("198.51.100.0/24"), Via: netip.MustParseAddr("192.0.2.1")}}
		},
		"smallest MTU of both": func(c *Config) { c.MTU = 1280 },
		"smallest MTU of IPv4": func(c *Config) { c.Addrs, c.MTU = prefixes("192.0.2.10/24"), 576 },
		"largest MTU":          func(c *Config) { c.MTU = 65535 },
		"longest name":         func(c *Config) { c.HostInterface = "a23456789012345" },
		"its MAC":              func(c *Config) { c.MAC = net.HardwareAddr{2, 0, 0, 0, 0, 1} },
		"generic":              func(c *Config) { c.Mode = Generic },
		"native":               func(c *Config) { c.Mode = Native },
		"adopted":              func(c *Config) { c.Adopt, c.HostInterface = true, "tap0" },
	} {
		t.Run(name, func(t *testing.T) {
			c := good()
			change(&c)
			_, err := c.validate()
			require.Equal(t, err, c.Validate())
			require.NoError(t, err)
		})
	}
}

func TestConfigRefuses(t *testing.T) {
	route := func(dst, via string) func(*Config) {
		return func(c *Config) {
			r := Route{Dst: netip.MustParsePrefix(dst)}
			if via != "" {
				r.Via = netip.MustParseAddr(via)
			}
			c.Routes = []Route{r}
		}
	}
	for name, tc := range map[string]struct {
		want   error
		change func(*Config)
	}{
		"no VNI":           {maps.ErrInvalid, func(c *Config) { c.VNI = 0 }},
		"VNI of 25 bits":   {maps.ErrInvalid, func(c *Config) { c.VNI = 1 << 24 }},
		"no address":       {maps.ErrInvalid, func(c *Config) { c.Addrs = nil }},
		"zero address":     {maps.ErrInvalid, func(c *Config) { c.Addrs = []netip.Prefix{{}} }},
		"no prefix length": {maps.ErrInvalid, func(c *Config) { c.Addrs = prefixes("192.0.2.10/0") }},
		"address twice":    {maps.ErrInvalid, func(c *Config) { c.Addrs = prefixes("192.0.2.10/24", "192.0.2.10/32") }},
		"mapped address": {maps.ErrInvalid, func(c *Config) {
			c.Addrs = []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("::ffff:192.0.2.10"), 120)}
		}},
		"multicast IPv4":       {maps.ErrInvalid, func(c *Config) { c.Addrs = prefixes("224.0.0.5/24") }},
		"multicast IPv6":       {maps.ErrInvalid, func(c *Config) { c.Addrs = prefixes("ff02::5/64") }},
		"broadcast":            {maps.ErrInvalid, func(c *Config) { c.Addrs = prefixes("255.255.255.255/32") }},
		"class E":              {maps.ErrInvalid, func(c *Config) { c.Addrs = prefixes("240.0.0.1/24") }},
		"this network":         {maps.ErrInvalid, func(c *Config) { c.Addrs = prefixes("0.1.2.3/24") }},
		"unspecified IPv6":     {maps.ErrInvalid, func(c *Config) { c.Addrs = prefixes("::/64") }},
		"loopback IPv4":        {maps.ErrInvalid, func(c *Config) { c.Addrs = prefixes("127.0.0.1/8") }},
		"loopback IPv6":        {maps.ErrInvalid, func(c *Config) { c.Addrs = prefixes("::1/128") }},
		"link-local IPv6":      {maps.ErrInvalid, func(c *Config) { c.Addrs = prefixes("fe80::1/64") }},
		"allowed zero":         {maps.ErrInvalid, func(c *Config) { c.Allowed = []netip.Prefix{{}} }},
		"allowed unmasked":     {maps.ErrInvalid, func(c *Config) { c.Allowed = prefixes("198.51.100.1/24") }},
		"allowed twice":        {maps.ErrInvalid, func(c *Config) { c.Allowed = prefixes("198.51.100.0/24", "198.51.100.0/24") }},
		"allowed mapped":       {maps.ErrInvalid, func(c *Config) { c.Allowed = prefixes("::ffff:198.51.100.0/120") }},
		"allowed multicast":    {maps.ErrInvalid, func(c *Config) { c.Allowed = prefixes("224.0.0.0/8") }},
		"route zero":           {maps.ErrInvalid, func(c *Config) { c.Routes = []Route{{}} }},
		"route unmasked":       {maps.ErrInvalid, route("198.51.100.1/24", "")},
		"route multicast":      {maps.ErrInvalid, route("224.0.0.0/4", "")},
		"route mapped":         {maps.ErrInvalid, route("::ffff:198.51.100.0/120", "")},
		"route via other kind": {maps.ErrInvalid, route("198.51.100.0/24", "2001:db8:7::1")},
		"route via link-local": {maps.ErrInvalid, route("2001:db8:8::/64", "fe80::1")},
		"route via multicast":  {maps.ErrInvalid, route("198.51.100.0/24", "224.0.0.1")},
		"route of no family":   {maps.ErrInvalid, func(c *Config) { c.Addrs = c.Addrs[:1]; route("2001:db8:8::/64", "")(c) }},
		"route twice":          {maps.ErrInvalid, func(c *Config) { route("198.51.100.0/24", "")(c); c.Routes = append(c.Routes, c.Routes[0]) }},
		"name too long":        {maps.ErrInvalid, func(c *Config) { c.Interface = "a234567890123456" }},
		"name with slash":      {maps.ErrInvalid, func(c *Config) { c.Interface = "a/b" }},
		"name with colon":      {maps.ErrInvalid, func(c *Config) { c.Interface = "a:b" }},
		"name with space":      {maps.ErrInvalid, func(c *Config) { c.Interface = "a b" }},
		"name that is none":    {maps.ErrInvalid, func(c *Config) { c.Interface = ".." }},
		"host name too long":   {maps.ErrInvalid, func(c *Config) { c.HostInterface = "a234567890123456" }},
		"host name a pattern":  {maps.ErrInvalid, func(c *Config) { c.HostInterface = "mz%d" }},
		"adopt nothing":        {maps.ErrInvalid, func(c *Config) { c.Adopt = true }},
		"adopt with routes":    {maps.ErrInvalid, func(c *Config) { c.Adopt, c.HostInterface, c.Routes = true, "tap0", []Route{} }},
		"MAC too short":        {maps.ErrInvalid, func(c *Config) { c.MAC = net.HardwareAddr{2, 0, 0, 0, 1} }},
		"MAC of zeroes":        {maps.ErrInvalid, func(c *Config) { c.MAC = make(net.HardwareAddr, 6) }},
		"MAC of a group":       {maps.ErrInvalid, func(c *Config) { c.MAC = net.HardwareAddr{3, 0, 0, 0, 0, 1} }},
		"MAC of the others":    {maps.ErrInvalid, func(c *Config) { c.MAC = virtualMAC[:] }},
		"MTU negative":         {ErrMTU, func(c *Config) { c.MTU = -1 }},
		"MTU too small for v6": {ErrMTU, func(c *Config) { c.MTU = 1279 }},
		"MTU too small for v4": {ErrMTU, func(c *Config) { c.Addrs, c.MTU = c.Addrs[:1], 575 }},
		"MTU too large":        {ErrMTU, func(c *Config) { c.MTU = 65536 }},
		"offload":              {bpf.ErrNotSupported, func(c *Config) { c.Mode = bpf.Offload }},
		"a mode not known":     {maps.ErrInvalid, func(c *Config) { c.Mode = 99 }},
	} {
		t.Run(name, func(t *testing.T) {
			c := good()
			tc.change(&c)
			_, err := c.validate()
			require.ErrorIs(t, err, tc.want)
		})
	}
}

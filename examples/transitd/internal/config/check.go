// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	// maxSocket is less than the kernel's 107, as the socket is made under a longer name first.
	maxSocket  = 90
	maxMessage = 1 << 30
)

// aName is what the library takes, as a pin's directory.
var aName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// check notes what the types let through.
func (c *Config) check(r *reader) {
	if !aName.MatchString(c.Name) {
		r.wrong("name", "%q has not 1 to 32 letters, digits, - and _", c.Name)
	}
	path(r, "bpffs", c.BPFFS)
	path(r, "stateDir", c.StateDir)
	path(r, "ovs.socket", c.OVS.Socket)
	between(r, "directAge", c.DirectAge, 0, 24*time.Hour)
	between(r, "pathAge", c.PathAge, 0, 24*time.Hour)
	between(r, "drain", c.Drain, 0, time.Hour)
	between(r, "rpc.maxMessageBytes", c.RPC.MaxMessageBytes, 1<<10, maxMessage)
	between(r, "rpc.callsPerSecond", c.RPC.CallsPerSecond, 1, 1<<20)
	if c.RPC.Burst == 0 {
		c.RPC.Burst = c.RPC.CallsPerSecond
	}
	between(r, "rpc.burst", c.RPC.Burst, 1, 1<<20)
	between(r, "rpc.maxStreams", c.RPC.MaxStreams, 1, 1<<16)
	between(r, "rpc.maxConnections", c.RPC.MaxConnections, 1, 1<<16)
	if c.Log.Format != FormatText && c.Log.Format != FormatJSON {
		r.wrong("log.format", "%q is neither text nor json", c.Log.Format)
	}
	if path(r, "listen.unix.path", c.Listen.Unix.Path) && len(c.Listen.Unix.Path) > maxSocket {
		r.wrong("listen.unix.path", "longer than %d bytes", maxSocket)
	}
	if a := c.Metrics.Address; a.IsValid() && a.Port() == 0 {
		r.wrong("metrics.address", "no port")
	}
	taken := map[netip.AddrPort]string{}
	if c.Metrics.Address.IsValid() {
		taken[c.Metrics.Address] = "metrics.address"
	}
	for i := range c.Listen.TCP {
		field, t := fmt.Sprintf("listen.tcp[%d]", i), &c.Listen.TCP[i]
		if by, ok := taken[t.Address]; ok && t.Address.IsValid() {
			r.wrong(field+".address", "%s is %s already", t.Address, by)
		}
		taken[t.Address] = field + ".address"
		t.check(r, field)
	}
}

func (t *TCP) check(r *reader, field string) {
	switch {
	case !t.Address.IsValid():
		r.wrong(field+".address", "missing")
	case t.Address.Port() == 0:
		r.wrong(field+".address", "no port")
	case t.Insecure && !Loopback(t.Address):
		r.wrong(field+".insecure", "%s is no loopback address: others could reach it", t.Address.Addr())
	}
	if t.Insecure {
		t.checkInsecure(r, field)
		return
	}
	path(r, field+".cert", t.Cert)
	path(r, field+".key", t.Key)
	path(r, field+".clientCA", t.ClientCA)
	if t.Role != RoleNone {
		r.wrong(field+".role", "is for insecure; with TLS, roles has the clients'")
	}
	if len(t.Roles) == 0 {
		r.wrong(field+".roles", "nobody is in it, so nobody could call")
	}
	seen := map[string]bool{}
	for i, m := range t.Roles {
		at := fmt.Sprintf("%s.roles[%d]", field, i)
		if !identity(m.Identity) {
			r.wrong(at+".identity", "%q is not uri:NAME, dns:NAME or cn:NAME", m.Identity)
		} else if seen[m.Identity] {
			r.wrong(at+".identity", "%q is there twice", m.Identity)
		}
		seen[m.Identity] = true
		if m.Role == RoleNone {
			r.wrong(at+".role", "missing")
		}
	}
}

// checkInsecure has what would make believe that clients are told apart refused.
func (t *TCP) checkInsecure(r *reader, field string) {
	for _, f := range []struct {
		name string
		said bool
	}{{"cert", t.Cert != ""}, {"key", t.Key != ""}, {"clientCA", t.ClientCA != ""}, {"roles", len(t.Roles) != 0}} {
		if f.said {
			r.wrong(field+"."+f.name, "has no meaning with insecure")
		}
	}
	if t.Role == RoleNone {
		t.Role = RoleRead
	}
}

// Loopback says whether only this host reaches an address.
func Loopback(a netip.AddrPort) bool {
	return a.IsValid() && a.Addr().Unmap().IsLoopback()
}

// identity says whether it has a kind and a name. Without a kind, whoever may choose a certificate's common name
// could choose what was meant as a name of DNS.
func identity(s string) bool {
	kind, name, ok := strings.Cut(s, ":")
	return ok && name != "" && (kind == "uri" || kind == "dns" || kind == "cn")
}

// path checks a file's. A daemon's working directory is no place to look for one.
func path(r *reader, field, p string) bool {
	switch {
	case p == "":
		r.wrong(field, "missing")
	case !filepath.IsAbs(p):
		r.wrong(field, "%q is not an absolute path", p)
	default:
		return true
	}
	return false
}

func between[T int | Bytes | time.Duration](r *reader, field string, v, least, most T) {
	if v < least || v > most {
		r.wrong(field, "%v is not from %v to %v", v, least, most)
	}
}

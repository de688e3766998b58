// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"crypto/tls"
	"testing"
	"time"

	"connectrpc.com/connect"
	dataplanev1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/config"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
)

var someRoles = []config.Mapping{
	{Identity: "uri:spiffe://example.org/op", Role: config.RoleWrite},
	{Identity: "dns:reader.example.org", Role: config.RoleRead},
	{Identity: "dns:writer.example.org", Role: config.RoleWrite},
	{Identity: "cn:op", Role: config.RoleWrite},
	{Identity: "cn:viewer", Role: config.RoleRead},
}

// startTLS has a server with mutual TLS, and says of which CA its certificate is.
func startTLS(t testing.TB, limits config.RPC, clients ...*authority) (*world, *authority, config.TCP) {
	t.Helper()
	own := newAuthority(t, "servers")
	cert, key, ca := serverFiles(t, own, clients...)
	c := config.TCP{Address: loopback(), Cert: cert, Key: key, ClientCA: ca, Roles: someRoles}
	w := start(t, limits, func(s *Server) {
		s.times.files = 50 * time.Millisecond
		s.warnings.few.SetLimit(rate.Inf) // a line of which none is told is not to be looked for
	}, c)
	return w, own, c
}

// T14: who has no certificate that counts is refused, whatever it calls and speaks, and it is logged.
func TestRefused(t *testing.T) {
	clients, others := newAuthority(t, "clients"), newAuthority(t, "others")
	w, own, _ := startTLS(t, limits(), clients)
	for _, r := range []struct {
		name   string
		cert   *tls.Certificate
		code   connect.Code
		reason string
	}{
		{"none", nil, connect.CodeUnauthenticated, "no client certificate"},
		{"of another CA", others.client(t, leaf{cn: "op"}), connect.CodeUnauthenticated, "unknown authority"},
		{"expired", clients.client(t, leaf{cn: "op", to: -time.Minute}), connect.CodeUnauthenticated, "expired"},
		{"not yet valid", clients.client(t, leaf{cn: "op", from: time.Minute}), connect.CodeUnauthenticated, "not yet valid"},
		{"a server's", clients.client(t, leaf{cn: "op", server: true}), connect.CodeUnauthenticated, "incompatible key usage"},
		{"of the server's CA", own.client(t, leaf{cn: "op"}), connect.CodeUnauthenticated, "unknown authority"},
		{"of nobody known", clients.client(t, leaf{cn: "nobody"}), connect.CodePermissionDenied, "no name in it has a role"},
		{"a prefix of a name", clients.client(t, leaf{cn: "o"}), connect.CodePermissionDenied, "no name"},
		{"a name of another kind", clients.client(t, leaf{cn: "writer.example.org"}), connect.CodePermissionDenied, "no name"},
	} {
		t.Run(r.name, func(t *testing.T) {
			for name, options := range protocols {
				t.Run(name, func(t *testing.T) {
					c := byTLS(t, w.tcp(0), own, r.cert, options...)
					refused(t, c.get(t), r.code, dataplanev1.Cause_CAUSE_IDENTITY)
					refused(t, c.add(t, 1), r.code, dataplanev1.Cause_CAUSE_IDENTITY)
					require.True(t, w.ended(t, addEndpoint).Denied)
					refused(t, c.bulk(t, 1), r.code, dataplanev1.Cause_CAUSE_IDENTITY)
					s, err := c.stats.WatchEvents(t.Context(), connect.NewRequest(&dataplanev1.WatchEventsRequest{}))
					if err == nil {
						require.False(t, s.Receive())
						err = s.Err()
						require.NoError(t, s.Close())
					}
					refused(t, err, r.code, dataplanev1.Cause_CAUSE_IDENTITY)
				})
			}
			line := w.logs.has(t, "level", "WARN", "msg", "denied", "code", r.code.String(), "reason", r.reason)
			require.NotEmpty(t, line["remote"])
			if r.cert != nil {
				require.Contains(t, line["subject"], "CN=")
				require.NotEmpty(t, line["serial"])
			}
		})
	}
	require.Zero(t, w.service.calls.Load())
}

// A role that reads may call what changes nothing.
func TestRoleRead(t *testing.T) {
	clients := newAuthority(t, "clients")
	w, own, _ := startTLS(t, limits(), clients)
	viewer := clients.client(t, leaf{cn: "viewer"})
	for name, options := range protocols {
		t.Run(name, func(t *testing.T) {
			c := byTLS(t, w.tcp(0), own, viewer, options...)
			require.NoError(t, c.get(t))
			require.Equal(t, Identity{Name: "cn:viewer", Role: config.RoleRead}, w.service.who.Load())
			w.logs.has(t, "level", "DEBUG", "procedure", getEndpoint, "client", "cn:viewer", "role", "read", "code", "ok")
			before := w.service.calls.Load()
			refused(t, c.add(t, 1), connect.CodePermissionDenied, dataplanev1.Cause_CAUSE_ROLE)
			w.logs.has(t, "level", "WARN", "procedure", addEndpoint, "client", "cn:viewer", "code", "permission_denied", "reason", "role read")
			refused(t, c.bulk(t, 1), connect.CodePermissionDenied, dataplanev1.Cause_CAUSE_ROLE)
			w.logs.has(t, "level", "WARN", "procedure", addEndpoints, "client", "cn:viewer", "code", "permission_denied")
			require.Equal(t, before, w.service.calls.Load())
			s, err := c.stats.WatchEvents(t.Context(), connect.NewRequest(&dataplanev1.WatchEventsRequest{}))
			require.NoError(t, err)
			require.True(t, s.Receive(), "%v", s.Err())
			_ = s.Close()
		})
	}
	t.Run("what is not known", func(t *testing.T) {
		c := byTLS(t, w.tcp(0), own, viewer)
		for _, path := range []string{"/mizar.dataplane.v1.EndpointService/Nothing", "/x", "/", "//mizar.dataplane.v1.EndpointService/AddEndpoint"} {
			res, err := c.http.Post(c.url+path, "application/json", nil)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, 403, res.StatusCode, path)
		}
	})
	t.Run("write", func(t *testing.T) {
		c := byTLS(t, w.tcp(0), own, clients.client(t, leaf{cn: "op"}))
		require.NoError(t, c.add(t, 1))
		require.Equal(t, Identity{Name: "cn:op", Role: config.RoleWrite}, w.service.who.Load())
		w.logs.has(t, "level", "INFO", "procedure", addEndpoint, "client", "cn:op", "role", "write", "code", "ok")
		require.NoError(t, c.bulk(t, 1))
		w.logs.has(t, "level", "INFO", "procedure", addEndpoints, "client", "cn:op", "code", "ok")
		res, err := c.http.Post(c.url+"/x", "application/json", nil)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, 501, res.StatusCode)
	})
}

// Every method of the API is known, and those that may read are those that say so.
func TestMethods(t *testing.T) {
	all := methods()
	require.True(t, all[getEndpoint].reads)
	require.False(t, all[addEndpoint].reads)
	require.True(t, all[addEndpoints].stream)
	writes := 0
	for procedure, m := range all {
		if !m.reads {
			writes++
			require.Regexp(t, `/(Add|Remove|Create|Delete|Attach|Detach|Load|Update|Set|Clear|Apply)[^/]*$`, procedure)
		} else {
			require.Regexp(t, `/(Get|List|Watch|Trace|Check|ServerReflection)[^/]*$`, procedure)
		}
	}
	require.Greater(t, writes, 15)
}

// Of the names in a certificate, the first kind of which one is known decides, and of this kind the least role.
func TestNames(t *testing.T) {
	clients := newAuthority(t, "clients")
	j := newJudge(&files{}, someRoles)
	j.files.trust.Store(&trust{pool: clients.pool()})
	for _, c := range []struct {
		name string
		leaf leaf
		want Identity
	}{
		{"URI", leaf{uri: []string{"spiffe://example.org/op"}}, Identity{"uri:spiffe://example.org/op", config.RoleWrite}},
		{"DNS", leaf{dns: []string{"writer.example.org"}}, Identity{"dns:writer.example.org", config.RoleWrite}},
		{"least of a kind", leaf{dns: []string{"writer.example.org", "reader.example.org"}}, Identity{"dns:reader.example.org", config.RoleRead}},
		{"URI before DNS", leaf{uri: []string{"spiffe://example.org/op"}, dns: []string{"reader.example.org"}}, Identity{"uri:spiffe://example.org/op", config.RoleWrite}},
		{"DNS before CN", leaf{cn: "op", dns: []string{"reader.example.org"}}, Identity{"dns:reader.example.org", config.RoleRead}},
		{"CN beside a DNS name of no role", leaf{cn: "op", dns: []string{"x.example.org"}}, Identity{"cn:op", config.RoleWrite}},
		{"case counts", leaf{cn: "OP"}, Identity{}},
		{"none", leaf{}, Identity{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pair := clients.client(t, c.leaf)
			who, ok := j.identity(pair.Leaf)
			require.Equal(t, c.want, who)
			require.Equal(t, c.want.Name != "", ok)
		})
	}
}

// TLS 1.2 is not spoken, nor HTTP without TLS.
func TestHandshake(t *testing.T) {
	clients := newAuthority(t, "clients")
	w, own, _ := startTLS(t, limits(), clients)
	_, err := tls.Dial("tcp", w.tcp(0), &tls.Config{RootCAs: own.pool(), MaxVersion: tls.VersionTLS12})
	require.ErrorContains(t, err, "protocol version")
	w.logs.has(t, "level", "WARN", "msg", "http", "error", "TLS handshake error")
	c := byTLS(t, w.tcp(0), own, nil)
	res, err := c.http.Get("http://" + w.tcp(0) + "/")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 400, res.StatusCode)
	require.Zero(t, w.service.calls.Load())
}

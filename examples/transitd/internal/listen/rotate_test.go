// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"bytes"
	"crypto/tls"
	"math/big"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	dataplanev1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/stretchr/testify/require"
)

// shown is the serial number of the certificate that a new connection is shown.
func shown(t testing.TB, addr string, ca *authority) *big.Int {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: ca.pool()})
	require.NoError(t, err)
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber
}

// conns counts the connections that a client has made.
func conns(c *caller) *int {
	n := new(int)
	transport := c.http.Transport.(*http.Transport)
	dial := transport.DialContext
	if dial == nil {
		dial = (&netDialer{}).DialContext
	}
	transport.DialContext = counting(n, dial)
	return n
}

// A new certificate is shown to new connections; a broken one is not, and is logged.
func TestRotate(t *testing.T) {
	clients := newAuthority(t, "clients")
	w, own, c := startTLS(t, limits(), clients)
	op := byTLS(t, w.tcp(0), own, clients.client(t, leaf{cn: "op"}))
	n := conns(op)
	require.NoError(t, op.get(t))
	first := shown(t, w.tcp(0), own)

	pair, cert, key := own.issue(t, leaf{cn: "daemon", server: true})
	write(t, c.Cert, cert)
	w.logs.has(t, "level", "WARN", "what", "certificate", "error", "private key does not match")
	require.Equal(t, first, shown(t, w.tcp(0), own), "the new one has no key yet")
	write(t, c.Key, key)
	w.logs.has(t, "level", "INFO", "msg", "taken anew", "what", "certificate")
	require.Equal(t, pair.Leaf.SerialNumber, shown(t, w.tcp(0), own))
	require.NoError(t, op.get(t))
	require.Equal(t, 1, *n, "on the connection that it had")

	write(t, c.Cert, []byte("broken"))
	w.logs.has(t, "level", "WARN", "what", "certificate", "error", "failed to find any PEM data")
	require.NoError(t, os.Remove(c.Key))
	w.logs.has(t, "level", "WARN", "what", "certificate", "error", "no such file")
	write(t, c.ClientCA, []byte("broken"))
	w.logs.has(t, "level", "WARN", "what", "client CAs", "error", "no certificate in it")
	time.Sleep(4 * w.times.files)
	told := 0
	for _, line := range w.logs.lines() {
		if line["what"] == "client CAs" {
			told++
		}
	}
	require.Equal(t, 1, told, "a broken one is told once")
	require.Equal(t, pair.Leaf.SerialNumber, shown(t, w.tcp(0), own))
	require.NoError(t, op.get(t))
}

// A CA that is taken away counts for the next call on a connection that it opened, and for its streams.
func TestCARemoved(t *testing.T) {
	old, next := newAuthority(t, "old"), newAuthority(t, "next")
	w, own, c := startTLS(t, limits(), old, next)
	of := byTLS(t, w.tcp(0), own, old.client(t, leaf{cn: "op"}), connect.WithGRPC())
	other := byTLS(t, w.tcp(0), own, next.client(t, leaf{cn: "op"}))
	n := conns(of)
	require.NoError(t, of.get(t))
	require.NoError(t, other.get(t))
	watch, err := of.stats.WatchEvents(t.Context(), connect.NewRequest(&dataplanev1.WatchEventsRequest{}))
	require.NoError(t, err)
	defer watch.Close()
	require.True(t, watch.Receive())
	bulk := of.AddEndpoints(t.Context())
	require.NoError(t, bulk.Send(&dataplanev1.AddEndpointsRequest{}))
	_, err = bulk.Receive()
	require.NoError(t, err)
	live, err := other.stats.WatchEvents(t.Context(), connect.NewRequest(&dataplanev1.WatchEventsRequest{}))
	require.NoError(t, err)
	defer live.Close()
	require.True(t, live.Receive())

	writeCAs(t, c.ClientCA, next)
	w.logs.has(t, "level", "INFO", "msg", "taken anew", "what", "client CAs")
	refused(t, of.get(t), connect.CodeUnauthenticated, dataplanev1.Cause_CAUSE_IDENTITY)
	require.Equal(t, 1, *n, "on the connection that it had")
	require.False(t, watch.Receive())
	refused(t, watch.Err(), connect.CodeUnauthenticated, dataplanev1.Cause_CAUSE_IDENTITY)
	_, err = bulk.Receive()
	refused(t, err, connect.CodeUnauthenticated, dataplanev1.Cause_CAUSE_IDENTITY)
	_ = bulk.CloseResponse()
	require.NoError(t, other.get(t))
	require.Zero(t, countEnded(w, "unauthenticated")-3, "the other's stream goes on")
}

// A bundle of CAs of which a part is there, as it is being written, takes nobody's away.
func TestCAHalfWritten(t *testing.T) {
	one, two := newAuthority(t, "one"), newAuthority(t, "two")
	w, own, c := startTLS(t, limits(), one, two)
	op := byTLS(t, w.tcp(0), own, two.client(t, leaf{cn: "op"}))
	require.NoError(t, op.get(t))
	whole, err := os.ReadFile(c.ClientCA)
	require.NoError(t, err)
	second := bytes.LastIndex(whole, []byte("-----BEGIN"))
	for what, text := range map[string][]byte{
		"no end":       whole[:len(whole)-30],
		"no text":      whole[:second+20],
		"no X.509":     append(whole[:second:second], "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"...),
		"no base64":    slices.Concat(whole[:second+40], []byte("!"), whole[second+41:]),
		"in the first": slices.Concat(whole[:40], []byte("!"), whole[41:]),
		"no bundle":    []byte("nothing"),
		"not a block":  append(whole[:second:second], "-----BEGIN"...),
	} {
		w.logs.clear()
		write(t, c.ClientCA, text)
		w.logs.has(t, "level", "WARN", "what", "client CAs", "msg", "the new one is not taken")
		require.NoError(t, op.get(t), what)
	}
	write(t, c.ClientCA, append([]byte("# the second is not trusted any more\n"), whole[:second]...))
	w.logs.has(t, "level", "INFO", "msg", "taken anew", "what", "client CAs")
	refused(t, op.get(t), connect.CodeUnauthenticated, dataplanev1.Cause_CAUSE_IDENTITY)
}

// countEnded counts calls that ended with a code.
func countEnded(w *world, code string) (n int) {
	for {
		select {
		case c := <-w.calls:
			if c.Code == code {
				n++
			}
		default:
			return n
		}
	}
}

// A certificate that expires ends what its connection could do.
func TestExpires(t *testing.T) {
	clients := newAuthority(t, "clients")
	w, own, _ := startTLS(t, limits(), clients)
	cert := clients.client(t, leaf{cn: "op", to: 2 * time.Second})
	c := byTLS(t, w.tcp(0), own, cert)
	n := conns(c)
	require.NoError(t, c.get(t))
	watch, err := c.stats.WatchEvents(t.Context(), connect.NewRequest(&dataplanev1.WatchEventsRequest{}))
	require.NoError(t, err)
	defer watch.Close()
	require.True(t, watch.Receive())
	require.False(t, watch.Receive())
	refused(t, watch.Err(), connect.CodeUnauthenticated, dataplanev1.Cause_CAUSE_IDENTITY)
	require.False(t, time.Now().Before(cert.Leaf.NotAfter))
	refused(t, c.get(t), connect.CodeUnauthenticated, dataplanev1.Cause_CAUSE_IDENTITY)
	require.Equal(t, 1, *n, "on the connection that it had")
	w.logs.has(t, "level", "WARN", "code", "unauthenticated", "reason", "expired")
}

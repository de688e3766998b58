// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority signs certificates.
type authority struct {
	*bench
	name string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (b *bench) authority(name string) *authority {
	a := &authority{bench: b, name: name}
	a.cert, a.key = a.sign(name, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign writes NAME.crt and NAME.key.
func (a *authority) sign(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a, err)
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.Subject = pkix.Name{CommonName: name}
	c.NotBefore = time.Now().Add(-2 * time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	parent, with := a.cert, a.key
	if parent == nil {
		parent, with = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, with)
	require.NoError(a, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a, err)
	a.file(name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	a.file(name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	cert, err := x509.ParseCertificate(der)
	require.NoError(a, err)
	return cert, key
}

func (a *authority) server(name string) {
	a.sign(name, &x509.Certificate{DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
}

func (a *authority) client(name string, until time.Time) {
	a.sign(name, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: until})
}

// A daemon far away is reached by a context, and each thing that can be wrong with certificates says so.
func TestMutualTLS(t *testing.T) {
	b := newBench(t)
	ours, theirs := b.authority("ours"), b.authority("theirs")
	ours.server("lab.example")
	ours.client("me", time.Time{})
	ours.client("late", time.Now().Add(-time.Hour))
	theirs.client("them", time.Time{})
	pair, err := tls.LoadX509KeyPair("lab.example.crt", "lab.example.key")
	require.NoError(t, err)
	clients := x509.NewCertPool()
	clients.AddCert(ours.cert)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serve(t, &http.Server{
		Handler: b.handler(), ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS13},
	}, l)
	url := "https://" + l.Addr().String()
	b.ok("config set-context lab --host " + url + " --cert me.crt --key me.key --ca ours.crt --server-name lab.example")
	require.Equal(t, "vpc/7 added\n", b.ok("add vpc 7 --context lab"))
	b.ok("config use-context lab")
	require.Equal(t, "vpc/7\n", b.ok("get vpcs -o name"))
	b.file("one.csv", "7,10.0.0.1,192.0.2.2\n")
	require.Equal(t, "endpoints: 1 added, 0 unchanged\n", b.ok("add endpoints -f one.csv"))
	require.Contains(t, b.ok("watch events --count 1"), "DROP_SPOOF_ADDRESS")

	b.fails(exitDenied, "get vpcs --ca theirs.crt", "nobody that is trusted", "--ca")
	b.fails(exitDenied, "get vpcs --server-name other.example", "other.example", "--server-name")
	b.fails(exitDenied, "get vpcs --cert late.crt --key late.key", "refused the client's certificate", "expired")
	b.fails(exitDenied, "get vpcs --cert them.crt --key them.key", "refused the client's certificate")
	b.fails(exitError, "get vpcs --cert me.crt --key late.key", "read the client's certificate")
	b.fails(exitError, "get vpcs --ca me.key", "no certificate in")
	b.fails(exitUsage, "get vpcs --host "+url, "--cert")

	// What net/http keeps to itself at times is asked for.
	c := &cli{at: url}
	for range 20 {
		cfg, err := target{Cert: "late.crt", Key: "late.key", CA: "ours.crt", ServerName: "lab.example"}.tls()
		require.NoError(t, err)
		code, text, _ := c.unreached(refusal(l.Addr().String(), cfg))
		require.Equal(t, exitDenied, code)
		require.Contains(t, text, "expired")
	}

	// Files of a context are found from where the configuration is.
	b.file("config.yaml", "current-context: lab\ncontexts:\n- {name: lab, host: '"+url+"', cert: me.crt, key: me.key, ca: ours.crt, server-name: lab.example}\n")
	t.Chdir("/")
	require.Equal(t, "vpc/7\n", b.ok("get vpcs -o name"))
}

// Loopback takes no certificate.
func TestLoopback(t *testing.T) {
	b := newBench(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serve(t, &http.Server{Handler: b.handler()}, l)
	require.Equal(t, "vpc/7 added\n", b.ok("add vpc 7 --host http://"+l.Addr().String()))
	require.Equal(t, "vpc/7\n", b.ok("get vpc 7 -o name"))
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "localhost": true, "0.0.0.0": false, "192.0.2.1": false,
		"localhost.example": false, "::": false, "127.0.0.1.example": false,
	} {
		require.Equal(t, want, loopback(host), host)
	}
}

// Nobody is there, or nobody that speaks.
func TestUnreached(t *testing.T) {
	b := newBench(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	at := l.Addr().String()
	b.fails(exitUnavailable, "get vpcs --timeout 200ms --host http://"+at, "no answer in time", "--timeout")
	require.NoError(t, l.Close())
	b.fails(exitUnavailable, "get vpcs --host http://"+at, "nobody listens")
	b.fails(exitUnavailable, "get vpcs --host unix://"+b.dir+"/no.sock", "no such socket")
	if os.Geteuid() != 0 {
		require.NoError(t, os.Chmod(b.socket, 0))
		b.fails(exitDenied, "get vpcs", "its group")
		require.NoError(t, os.Chmod(b.socket, 0o600))
	}
	// Another program, or the daemon's metrics.
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	at = other.Listener.Addr().String()
	b.authority("me")
	b.fails(exitUnavailable, "get vpcs --host http://"+at, "reach http://"+at+": ") // it may end the connection first
	b.fails(exitUnavailable, "get vpcs --cert me.crt --key me.key --host https://"+at, "what listens there is no transitd", "look at the port")
	// Our version is told also where the daemon's cannot be.
	code, out, _ := b.run("version --host unix://" + b.dir + "/no.sock")
	require.Equal(t, exitUnavailable, code)
	require.Contains(t, out, "transitctl")
	require.Contains(t, b.ok("version"), "v1.2.3")
	require.Contains(t, b.ok("version -o json"), `"hostname": "h1"`)
	require.Contains(t, b.ok("version -o yaml"), "hostname: h1")
}

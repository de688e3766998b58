// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const defaultHost = "unix:///run/transitd/transitd.sock"

// target says which daemon is meant: --host, else --context, else the context that is used, else this host's.
func (c *cli) target() (target, error) {
	if c.flags.Host != "" && c.context == "" {
		return c.flags, nil
	}
	cfg, err := readConfig()
	if err != nil {
		return target{}, err
	}
	var t target
	if name := cmp.Or(c.context, cfg.Current); name != "" {
		x, err := cfg.need(name)
		if err != nil {
			return target{}, err
		}
		t = x.target
		for _, file := range []*string{&t.Cert, &t.Key, &t.CA} {
			if *file != "" && !filepath.IsAbs(*file) {
				*file = filepath.Join(filepath.Dir(cfg.path), *file)
			}
		}
	}
	return target{
		Host:       cmp.Or(c.flags.Host, t.Host, defaultHost),
		Cert:       cmp.Or(c.flags.Cert, t.Cert),
		Key:        cmp.Or(c.flags.Key, t.Key),
		CA:         cmp.Or(c.flags.CA, t.CA),
		ServerName: cmp.Or(c.flags.ServerName, t.ServerName),
	}, nil
}

// check refuses what is not allowed: TCP without mutual TLS, but for loopback.
func (t target) check() (*url.URL, error) {
	host := t.Host
	if strings.HasPrefix(host, "/") {
		host = "unix://" + host
	}
	u, err := url.Parse(host)
	const forms = "it reads unix:///PATH or https://NAME:PORT"
	switch {
	case err != nil:
		return nil, usagef("--host %q makes no sense: %s", t.Host, forms)
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
		return u, nil
	case (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "":
		return nil, usagef("--host %q makes no sense: %s", t.Host, forms)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, usagef("--host %s: http goes to loopback only, other hosts take https with a client's certificate", t.Host)
	case u.Scheme == "https" && (t.Cert == "" || t.Key == ""):
		return nil, usagef("--host %s: the daemon wants to know who you are: give a certificate with --cert and --key, or a context that has one", t.Host)
	}
	return u, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// dial has what calls go through; nothing is connected yet.
func (c *cli) dial() error {
	if c.api != nil {
		return nil
	}
	t, err := c.target()
	if err != nil {
		return err
	}
	u, err := t.check()
	if err != nil {
		return err
	}
	c.at = t.Host
	dialer := net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{
		Protocols:           new(http.Protocols),
		TLSHandshakeTimeout: 10 * time.Second,
		// A stream to a host that is gone without a word ends.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
	base := strings.TrimSuffix(u.String(), "/")
	switch u.Scheme {
	case "unix":
		base = "http://transitd"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", u.Path)
		}
		transport.Protocols.SetUnencryptedHTTP2(true)
	case "http":
		transport.DialContext = dialer.DialContext
		transport.Protocols.SetUnencryptedHTTP2(true)
	default:
		transport.DialContext = dialer.DialContext
		transport.Protocols.SetHTTP2(true)
		cfg, err := t.tls()
		if err != nil {
			return err
		}
		transport.TLSClientConfig = cfg
		c.refusal = func() error { return refusal(u.Host, cfg) }
	}
	c.api = newAPI(&http.Client{Transport: transport}, base)
	c.close = transport.CloseIdleConnections
	return nil
}

func (t target) tls() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("read the client's certificate %s and key %s: %w", t.Cert, t.Key, err)
	}
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: t.ServerName,
		// Not Certificates: of those, one that the daemon did not name an issuer of would not be shown at all,
		// and the daemon could not say what is wrong with it.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
	}
	if t.CA == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("read who signs daemons' certificates: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read who signs daemons' certificates: no certificate in %s", t.CA)
	}
	return cfg, nil
}

// refusal asks a daemon why it ends connections: it may, in TLS 1.3, refuse our certificate after we think that all
// is well, and net/http then as often as not only says that there is no connection.
func refusal(host string, cfg *tls.Config) error {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), "443")
	}
	const patience = 2 * time.Second
	raw, err := net.DialTimeout("tcp", host, patience)
	if err != nil {
		return err
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	cfg = cfg.Clone()
	cfg.NextProtos = []string{"h2"}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(host)
	}
	conn := tls.Client(insistent{raw}, cfg)
	for some := make([]byte, 64); ; {
		if _, err := conn.Read(some); err != nil {
			return err
		}
	}
}

// insistent writes also where nobody reads any more: what was said before that is yet to be read.
type insistent struct{ net.Conn }

func (i insistent) Write(b []byte) (int, error) {
	_, _ = i.Conn.Write(b)
	return len(b), nil
}

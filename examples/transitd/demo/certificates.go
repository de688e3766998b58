// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// authority signs the certificates of daemons and of their clients.
type authority struct {
	dir  string // where certificates are put
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority makes one, and writes its certificate.
func newAuthority(dir string) (*authority, error) {
	a := &authority{dir: dir}
	c := template("demo's authority", time.Now().Add(time.Hour))
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	a.cert = c
	return a, a.sign("ca", c, func(key *ecdsa.PrivateKey) { a.key = key })
}

// daemon makes a daemon's certificate: it is known by its name and its address.
func (a *authority) daemon(name string, at netip.Addr) error {
	c := template(name, time.Now().Add(time.Hour))
	c.DNSNames, c.IPAddresses = []string{name}, []net.IP{at.AsSlice()}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return a.sign(name, c, nil)
}

// client makes a client's certificate: what it may do, the daemons' configuration says by its URI.
func (a *authority) client(name, id string, until time.Time) error {
	uri, err := url.Parse(id)
	if err != nil {
		return err
	}
	c := template(name, until)
	c.URIs, c.ExtKeyUsage = []*url.URL{uri}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.sign(name, c, nil)
}

func template(name string, until time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    until.Add(-2 * time.Hour),
		NotAfter:     until,
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

// sign writes NAME.crt and NAME.key. Only the authority signs itself, and takes the key.
func (a *authority) sign(name string, c *x509.Certificate, take func(*ecdsa.PrivateKey)) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("make certificate of %s: %w", name, err)
		}
	}()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if take != nil {
		take(key)
	}
	cert, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(a.write(name+".crt", "CERTIFICATE", cert), a.write(name+".key", "PRIVATE KEY", private))
}

func (a *authority) write(name, kind string, bytes []byte) error {
	return os.WriteFile(filepath.Join(a.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600)
}

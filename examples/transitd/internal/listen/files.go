// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/mizar-go/mizar/examples/transitd/internal/config"
)

// files are a listener's certificate and CAs, as the files have them. They are read every few seconds, and not
// watched: a rename of the file, of its directory or of a link on the way, as all who rotate certificates do it,
// are the same to who reads. A broken one leaves what was there, and is logged once.
type files struct {
	cert, key, ca string
	log           *slog.Logger
	pair          atomic.Pointer[tls.Certificate]
	trust         atomic.Pointer[trust]
	pairText      []byte // as last read, good or broken
	trustText     []byte
}

// trust are the CAs at one time.
type trust struct {
	pool *x509.CertPool
}

func newFiles(c config.TCP, log *slog.Logger) (*files, error) {
	f := &files{cert: c.Cert, key: c.Key, ca: c.ClientCA, log: log}
	_, err := f.readPair()
	if err != nil {
		return nil, err
	}
	if _, err := f.readTrust(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(f.key); err == nil && info.Mode().Perm()&0o004 != 0 {
		log.Warn("everybody on this host may read the key", "file", f.key, "mode", info.Mode().Perm())
	}
	return f, nil
}

// keep reads the files every so often, until ctx ends, and calls after each time.
func (f *files) keep(ctx context.Context, every time.Duration, after func()) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f.again("certificate", f.cert, f.readPair)
			f.again("client CAs", f.ca, f.readTrust)
			after()
		}
	}
}

func (f *files) again(what, file string, read func() (bool, error)) {
	changed, err := read()
	switch {
	case changed && err != nil:
		f.log.Warn("the new one is not taken: the old one counts", "what", what, "file", file, "error", err)
	case changed:
		f.log.Info("taken anew", "what", what, "file", file)
	}
}

// readPair takes the certificate and its key. Between the writing of one and of the other they do not match;
// the next time they do.
func (f *files) readPair() (changed bool, err error) {
	cert, err := os.ReadFile(f.cert)
	key, e := os.ReadFile(f.key)
	err = errors.Join(err, e)
	text := bytes.Join([][]byte{cert, key, errorText(err)}, []byte{0})
	if bytes.Equal(text, f.pairText) {
		return false, nil
	}
	f.pairText = text
	if err != nil {
		return true, fmt.Errorf("read certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return true, fmt.Errorf("read certificate %s: %w", f.cert, err)
	}
	f.pair.Store(&pair)
	return true, nil
}

func (f *files) readTrust() (changed bool, err error) {
	ca, err := os.ReadFile(f.ca)
	text := bytes.Join([][]byte{ca, errorText(err)}, []byte{0})
	if bytes.Equal(text, f.trustText) {
		return false, nil
	}
	f.trustText = text
	if err != nil {
		return true, fmt.Errorf("read client CAs: %w", err)
	}
	pool, err := readCAs(ca)
	if err != nil {
		return true, fmt.Errorf("read client CAs %s: %w", f.ca, err)
	}
	f.trust.Store(&trust{pool: pool})
	return true, nil
}

// readCAs takes all or none: who rotates CAs may be about to write the rest. [x509.CertPool.AppendCertsFromPEM] takes
// those that it understands.
func readCAs(text []byte) (*x509.CertPool, error) {
	pool, begun, certs := x509.NewCertPool(), bytes.Count(text, []byte("-----BEGIN")), 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		begun--
		if block.Type != "CERTIFICATE" {
			continue
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", certs+1, err)
		}
		pool.AddCert(ca)
		certs++
	}
	switch {
	case begun != 0:
		return nil, fmt.Errorf("%d blocks of PEM that are broken or cut short", begun)
	case certs == 0:
		return nil, errors.New("no certificate in it")
	}
	return pool, nil
}

// errorText has that a file cannot be read be a change, once.
func errorText(err error) []byte {
	if err == nil {
		return nil
	}
	return []byte(err.Error())
}

// tls is what connections are made with. Of a client's certificate nothing is checked here but that it has the
// key: see judge. It is not told our CAs: a client would then send none rather than a wrong one, and the reason
// would be lost. Nor may it resume a session: each handshake has the certificate of now.
func (f *files) tls() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return f.pair.Load(), nil
		},
	}
}

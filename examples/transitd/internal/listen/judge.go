// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"crypto/x509"
	"fmt"
	"time"

	"connectrpc.com/connect"
	dataplanev1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/config"
)

// judge says who a client is by its certificate.
//
// It is asked at each call and not at the handshake. A connection may live for weeks: a certificate that expires
// meanwhile, or whose CA was taken away, counts at once. And a client that is turned away at the handshake learns
// "bad certificate" at best; here it gets a code and a reason, and so does the log. The handshake does prove that
// the client has the certificate's key: that, TLS checks of any certificate it is shown.
type judge struct {
	files *files
	roles map[string]config.Role
}

// verdict is what was found, and for how long it holds.
type verdict struct {
	trust    *trust // nil: none yet
	from, to time.Time
	who      Identity
	err      *connect.Error // nil: who may come in
}

// sure is how long a bad verdict holds. A stranger is not to keep us busy with chains.
const sure = time.Second

func newJudge(f *files, mappings []config.Mapping) *judge {
	j := &judge{files: f, roles: map[string]config.Role{}}
	for _, m := range mappings {
		j.roles[m.Identity] = m.Role
	}
	return j
}

// of is who has shown these certificates on g. Chains cost much to verify, so a verdict is kept: a good one until a
// certificate in the chain ends or the CAs change.
func (j *judge) of(g *guest, shown []*x509.Certificate, now time.Time) (Identity, *connect.Error) {
	trust := j.files.trust.Load()
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.verdict; v.trust == trust && !now.Before(v.from) && !now.After(v.to) {
		return v.who, v.err
	}
	v, err := j.judge(trust, shown, now)
	if err != nil {
		v = verdict{trust: trust, from: now, to: now.Add(sure), err: err}
	}
	g.verdict = v
	return v.who, v.err
}

func (j *judge) judge(trust *trust, shown []*x509.Certificate, now time.Time) (verdict, *connect.Error) {
	if len(shown) == 0 {
		return verdict{}, unauthenticated("no client certificate")
	}
	between := x509.NewCertPool()
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	chains, err := shown[0].Verify(x509.VerifyOptions{
		Roots:         trust.pool,
		Intermediates: between,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return verdict{}, unauthenticated(fmt.Sprintf("client certificate: %v", err))
	}
	who, ok := j.identity(shown[0])
	if !ok {
		return verdict{}, refusal(connect.CodePermissionDenied, dataplanev1.Cause_CAUSE_IDENTITY,
			"client certificate: no name in it has a role here")
	}
	v := verdict{trust: trust, who: who}
	for _, c := range chains[0] {
		if c.NotBefore.After(v.from) {
			v.from = c.NotBefore
		}
		if v.to.IsZero() || c.NotAfter.Before(v.to) {
			v.to = c.NotAfter
		}
	}
	return v, nil
}

// identity is the name that decides, as doc.go says which.
func (j *judge) identity(c *x509.Certificate) (who Identity, ok bool) {
	var uris, dns []string
	for _, u := range c.URIs {
		uris = append(uris, "uri:"+u.String())
	}
	for _, d := range c.DNSNames {
		dns = append(dns, "dns:"+d)
	}
	for _, kind := range [][]string{uris, dns, {"cn:" + c.Subject.CommonName}} {
		for _, name := range kind {
			if role, found := j.roles[name]; found && (!ok || role < who.Role) {
				who, ok = Identity{Name: name, Role: role}, true
			}
		}
		if ok {
			return who, true
		}
	}
	return who, false
}

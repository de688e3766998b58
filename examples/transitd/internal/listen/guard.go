// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"connectrpc.com/connect"
	dataplanev1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/config"
)

// guard stands before the handlers of a listener.
type guard struct {
	*Server
	identify func(*http.Request, *guest) (Identity, *connect.Error)
}

type guestKey struct{}

func (g *guard) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	g.calls.Add(1)
	defer g.calls.Add(-1)
	start := time.Now()
	w := &response{ResponseWriter: rw}
	c := &call{log: g.log, path: r.URL.Path, remote: r.RemoteAddr}
	c.method, c.known = g.methods[c.path]
	defer func() {
		made := c.end(w, r, time.Since(start), g.warnings.warn)
		if g.observe != nil {
			g.observe(made)
		}
	}()
	defer func() {
		if value := recover(); value != nil {
			g.recovered(w, r, c, value)
		}
	}()
	control := http.NewResponseController(w)
	if r.ProtoMajor == 1 { // a stream that was ended before this call, on its connection, has left one
		_ = control.SetWriteDeadline(time.Time{})
	}
	defer func() { _ = control.SetReadDeadline(g.rest(r)) }()
	if err := g.admit(r, c); err != nil {
		c.denied, c.code = err, err.Code().String()
		if err.Code() == connect.CodeUnavailable || err.Code() == connect.CodeUnimplemented {
			c.denied = nil // said, but nobody's fault
		}
		_ = g.errors.Write(w, r, err)
		return
	}
	defer g.flight.end(c.who.Name)
	g.handle(w, r, c, control)
}

// rest is by when the client has to have sent what the handler did not read. HTTP/1.1 waits for some of that; of HTTP/2
// the deadline itself would stay in memory until then, where the client has taken back its call.
func (g *guard) rest(r *http.Request) time.Time {
	if r.ProtoMajor == 1 && r.Body != http.NoBody {
		return time.Now().Add(g.times.last)
	}
	return time.Time{}
}

// admit says who calls and whether it may, before anything of the body is read.
func (g *guard) admit(r *http.Request, c *call) *connect.Error {
	from, _ := r.Context().Value(guestKey{}).(*guest)
	who, err := g.identify(r, from)
	if err != nil {
		from.who.Store(nil)
		return err
	}
	c.who = who
	if !from.knows(who.Name) {
		return refusal(connect.CodeResourceExhausted, dataplanev1.Cause_CAUSE_RATE, "too many connections: close some first")
	}
	if !g.rates.allow(who.Name) {
		return refusal(connect.CodeResourceExhausted, dataplanev1.Cause_CAUSE_RATE, "too many calls: try again later")
	}
	switch {
	case who.Role == config.RoleWrite:
	case who.Role != config.RoleRead, !c.known, !c.method.reads:
		return refusal(connect.CodePermissionDenied, dataplanev1.Cause_CAUSE_ROLE,
			"the role "+who.Role.String()+" does not allow it")
	}
	if !c.known {
		return refusal(connect.CodeUnimplemented, dataplanev1.Cause_CAUSE_NOT_SUPPORTED, "there is no such procedure")
	}
	if g.streams.closing() && (!c.method.health || c.method.stream) {
		return closing()
	}
	if !g.flight.begin(who.Name) {
		return refusal(connect.CodeResourceExhausted, dataplanev1.Cause_CAUSE_RATE, "too many calls under way: end some first")
	}
	return nil
}

func (g *guard) handle(w *response, r *http.Request, c *call, control *http.ResponseController) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	ctx = context.WithValue(ctx, callKey{}, c)
	if !c.method.stream {
		if r.Body != http.NoBody {
			// It ends with the body: net/http takes it back once all is read, so that the handler may take as
			// long as it needs.
			_ = control.SetReadDeadline(time.Now().Add(g.times.body))
		}
		g.handler.ServeHTTP(w, r.WithContext(ctx))
		return
	}
	from, _ := r.Context().Value(guestKey{}).(*guest)
	c.stream = &stream{cancel: cancel, wire: control, last: g.times.last, judge: func() *connect.Error {
		_, err := g.identify(r, from)
		return err
	}}
	if !g.streams.add(c.stream) {
		c.stream, c.code = nil, connect.CodeUnavailable.String()
		_ = g.errors.Write(w, r, closing())
		return
	}
	defer g.streams.remove(c.stream)
	g.handler.ServeHTTP(w, r.WithContext(ctx))
}

// recovered is for panics outside of what Options watches over.
func (g *guard) recovered(w *response, r *http.Request, c *call, value any) {
	c.code = connect.CodeInternal.String()
	if value == http.ErrAbortHandler {
		panic(value) // that is how a handler cuts a connection
	}
	err := c.panicked(value)
	if w.status != 0 {
		panic(http.ErrAbortHandler) // half an answer is there: it must not look like a whole one
	}
	_ = g.errors.Write(w, r, err)
}

// ofSocket is who a client of the Unix socket is.
func ofSocket(_ *http.Request, from *guest) (Identity, *connect.Error) {
	if c, ok := from.Conn.(*net.UnixConn); ok {
		return local(c), nil
	}
	return Identity{Name: "local", Role: config.RoleWrite}, nil
}

// ofCertificate is who a client by TLS is.
func ofCertificate(j *judge) func(*http.Request, *guest) (Identity, *connect.Error) {
	return func(r *http.Request, from *guest) (Identity, *connect.Error) {
		if r.TLS == nil {
			return Identity{}, unauthenticated("no TLS")
		}
		return j.of(from, r.TLS.PeerCertificates, time.Now())
	}
}

// ofAnybody is who a client is that is not asked. A page in a browser on this host may call, too: by a name of
// its own that leads to loopback, or across origins. Neither is what this was opened for.
func ofAnybody(role config.Role) func(*http.Request, *guest) (Identity, *connect.Error) {
	return func(r *http.Request, _ *guest) (Identity, *connect.Error) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if host != "localhost" && (err != nil || !addr.IsLoopback()) || r.Header.Get("Origin") != "" {
			return Identity{}, refusal(connect.CodePermissionDenied, dataplanev1.Cause_CAUSE_IDENTITY,
				"a call through a browser, or by another name than localhost")
		}
		return Identity{Name: "insecure", Role: role}, nil
	}
}

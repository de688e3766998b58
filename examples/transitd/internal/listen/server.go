// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/mizar-go/mizar/examples/transitd/internal/config"
)

// ErrInsecure says that TLS was to be left out where others could listen.
var ErrInsecure = errors.New("without TLS on an address that is not loopback")

// Config says where to listen, and within which limits.
type Config struct {
	Listen config.Listen
	RPC    config.RPC
	// Observe is told of each call at its end. Nil: nobody is.
	Observe func(Call)
}

// callsOfOne is how many times as many calls a client may have under way as one of its connections. A list that is not
// read may take 2 MiB.
const callsOfOne = 2

// Server lets calls in to a handler.
type Server struct {
	handler  http.Handler
	log      *slog.Logger
	warnings *warnings
	observe  func(Call)
	methods  map[string]method
	errors   *connect.ErrorWriter
	rates    *rates
	flight   *flight
	streams  *streams
	calls    atomic.Int64    // under way
	base     context.Context // of all calls
	stop     context.CancelFunc
	times    times
	mouths   []*mouth
	drained  chan struct{}
	drain    sync.Once
}

// times bound how long a client may keep us waiting.
type times struct {
	header time.Duration // for a request's header, and for the handshake before it
	body   time.Duration // for a unary request's body
	idle   time.Duration // between requests
	ping   time.Duration // of silence, until the other end is asked whether it lives
	write  time.Duration // for it to take something
	last   time.Duration // for it to take why its stream ends, and to send the rest of what nobody reads
	files  time.Duration // between two looks at the certificates
	after  time.Duration // for calls that were cut to come to their end
}

// mouth is a listener and the server behind it.
type mouth struct {
	*http.Server
	listener net.Listener
	files    *files // nil: no TLS
}

// New opens all sockets, or none, and lets nobody in yet. From here on, [Server.Close] or [Server.Serve] takes
// them away.
func New(c Config, handler http.Handler, log *slog.Logger) (_ *Server, err error) {
	base, stop := context.WithCancel(context.Background())
	s := &Server{
		handler:  handler,
		log:      log,
		warnings: newWarnings(log),
		observe:  c.Observe,
		methods:  methods(),
		errors:   connect.NewErrorWriter(),
		rates:    newRates(c.RPC.CallsPerSecond, cmp.Or(c.RPC.Burst, c.RPC.CallsPerSecond)),
		flight:   newFlight(callsOfOne * c.RPC.MaxStreams),
		streams:  &streams{open: map[*stream]struct{}{}},
		base:     base,
		stop:     stop,
		drained:  make(chan struct{}),
		times: times{
			header: 10 * time.Second, body: time.Minute, idle: 2 * time.Minute,
			ping: 30 * time.Second, write: 30 * time.Second, last: 3 * time.Second, files: 3 * time.Second, after: time.Second,
		},
	}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	l, err := openSocket(c.Listen.Unix)
	if err != nil {
		return nil, err
	}
	s.add(l, c.RPC, nil, ofSocket)
	for _, t := range c.Listen.TCP {
		if err := s.openTCP(t, c.RPC); err != nil {
			return nil, fmt.Errorf("listen on %s: %w", t.Address, err)
		}
	}
	return s, nil
}

func (s *Server) openTCP(t config.TCP, limits config.RPC) error {
	var f *files
	identify := ofAnybody(t.Role)
	if t.Insecure {
		if !config.Loopback(t.Address) {
			return ErrInsecure
		}
		s.log.Warn("calls without TLS are taken from everybody on this host", "address", t.Address.String(), "role", t.Role.String())
	} else {
		var err error
		if f, err = newFiles(t, s.log); err != nil {
			return err
		}
		identify = ofCertificate(newJudge(f, t.Roles))
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(t.Address))
	if err != nil {
		return err
	}
	s.add(l, limits, f, identify)
	return nil
}

func (s *Server) add(l net.Listener, limits config.RPC, f *files, identify func(*http.Request, *guest) (Identity, *connect.Error)) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(f != nil)
	protocols.SetUnencryptedHTTP2(f == nil)
	m := &mouth{files: f, listener: newDoor(l, limits.MaxConnections, func(who net.Addr) {
		s.warnings.warn("too many connections: one was closed", "listener", l.Addr().String(), "remote", who.String())
	})}
	m.Server = &http.Server{
		Handler:           &guard{Server: s, identify: identify},
		ReadHeaderTimeout: s.times.header,
		IdleTimeout:       s.times.idle,
		MaxHeaderBytes:    64 << 10,
		Protocols:         protocols,
		ErrorLog:          s.warnings.logger(),
		BaseContext:       func(net.Listener) context.Context { return s.base },
		ConnContext:       withGuest,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: limits.MaxStreams,
			SendPingTimeout:      s.times.ping,
			WriteByteTimeout:     s.times.write,
		},
	}
	if f != nil {
		m.TLSConfig = f.tls()
	}
	s.mouths = append(s.mouths, m)
}

// withGuest has each call know its connection, below TLS.
func withGuest(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	g, _ := c.(*guest)
	return context.WithValue(ctx, guestKey{}, g)
}

// Addrs is where it listens: the Unix socket, then each of TCP as configured.
func (s *Server) Addrs() (all []net.Addr) {
	for _, m := range s.mouths {
		all = append(all, m.listener.Addr())
	}
	return all
}

// Serve lets calls in until ctx ends, which cuts them, or until [Server.Drain] is through, which does not. It
// returns when no handler runs any more, or none that heeds its context.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	failed := make(chan error, len(s.mouths))
	for _, m := range s.mouths {
		all.Go(func() {
			if err := m.serve(); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", m.listener.Addr(), err)
			}
		})
		if m.files != nil {
			all.Go(func() {
				m.files.keep(ctx, s.times.files, s.streams.review)
			})
		}
	}
	var err error
	select {
	case <-ctx.Done():
	case <-s.drained:
	case err = <-failed:
	}
	cancel()
	err = errors.Join(err, s.Close())
	all.Wait()
	return err
}

func (m *mouth) serve() error {
	if m.files != nil {
		return m.ServeTLS(m.listener, "", "")
	}
	return m.Serve(m.listener)
}

// Drain takes no more calls, ends the streams, and waits for the other calls until ctx ends, which cuts them and
// is its error. Serve returns after it.
func (s *Server) Drain(ctx context.Context) (err error) {
	s.drain.Do(func() {
		defer close(s.drained)
		s.streams.close()
		errs := make([]error, len(s.mouths))
		var all sync.WaitGroup
		for i, m := range s.mouths {
			all.Go(func() { errs[i] = m.Shutdown(ctx) })
		}
		all.Wait()
		err = errors.Join(errs...)
	})
	return err
}

// Close ends everything at once.
func (s *Server) Close() (err error) {
	s.streams.close()
	s.stop()
	for _, m := range s.mouths {
		err = errors.Join(err, m.Close())
		if e := m.listener.Close(); !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	for late := time.Now().Add(s.times.after); s.calls.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			s.log.Warn("handlers do not end", "calls", s.calls.Load())
			break
		}
	}
	return err
}

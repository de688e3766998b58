// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/ovn-kubernetes/libovsdb/client"

	"github.com/mizar-go/mizar/dataplane"
)

const (
	// DefaultSocket is OVSDB's where [Options.Socket] is empty.
	DefaultSocket = "/run/openvswitch/db.sock"

	// patience bounds a call whose context has no end.
	patience = 15 * time.Second
	// undoPatience is how long taking back may take, after the caller's time is over.
	undoPatience = 5 * time.Second
)

// Options say which Open vSwitch, and in whose name.
type Options struct {
	// Instance is the daemon's name, in the marks of what is ours: up to 32 letters, digits, - and _.
	Instance string
	// Socket is the path of OVSDB's; beside it are the bridges' management sockets. Empty: [DefaultSocket].
	Socket string
	// Logger takes the few things worth saying. Nil: nothing is said.
	Logger *slog.Logger
}

// Client speaks with one Open vSwitch. It is good for several goroutines, which wait for each other.
type Client struct {
	Options

	mu   sync.Mutex
	db   client.Client // nil: not connected
	fail func(step string) error
}

// New makes a client. It does not connect: that Open vSwitch is away is seen by the calls, as
// [ErrUnavailable].
func New(o Options) (*Client, error) {
	if !instanceName.MatchString(o.Instance) {
		return nil, invalid("instance %q: 1 to 32 letters, digits, - and _", o.Instance)
	}
	if o.Socket == "" {
		o.Socket = DefaultSocket
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Client{Options: o}, nil
}

// Close lets go of the connection. Ports and flows stay. A later call connects again.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disconnect()
	return nil
}

func (c *Client) disconnect() {
	if c.db != nil {
		c.db.Close()
		c.db = nil
	}
}

// through runs f with a connection, as the only one.
func (c *Client) through(ctx context.Context, f func(ctx context.Context) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	return f(ctx)
}

// connect connects where there is no connection, or the one that was there broke.
func (c *Client) connect(ctx context.Context) (err error) {
	if c.db != nil && c.db.Connected() && c.db.Echo(ctx) == nil {
		return nil
	}
	c.disconnect()
	m, err := models()
	if err != nil {
		return err
	}
	db, err := client.NewOVSDBClient(m, client.WithEndpoint("unix:"+c.Socket))
	if err != nil {
		return fmt.Errorf("connect to OVSDB: %w", err)
	}
	if err := db.Connect(ctx); err != nil {
		return fmt.Errorf("connect to OVSDB at %s: %w", c.Socket, unavailable(err))
	}
	if _, err := db.Monitor(ctx, db.NewMonitor(tables()...)); err != nil {
		db.Close()
		return fmt.Errorf("read OVSDB: %w", unavailable(err))
	}
	c.db = db
	return nil
}

// unavailable gives what keeps us from Open vSwitch its typed error.
func unavailable(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, ErrUnavailable):
		return err
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", dataplane.ErrPermission, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// do is one step of a change: what it did is taken back by back, should a later one fail.
func (c *Client) do(ctx context.Context, u *undo, step string, f func() error, back func(context.Context) error) error {
	if c.fail != nil {
		if err := c.fail(step); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if back != nil {
		*u = append(*u, back) // first: a step may have got half-way
	}
	return f()
}

// undo takes back, last first, what was done so far.
type undo []func(context.Context) error

func (u undo) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoPatience)
	defer cancel()
	var errs []error
	for i := len(u) - 1; i >= 0; i-- {
		errs = append(errs, u[i](ctx))
	}
	return errors.Join(errs...)
}

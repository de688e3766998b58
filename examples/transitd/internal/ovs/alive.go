// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"syscall"
	"time"
)

// aliveEvery is how often who waits for ovs-vswitchd sees whether it lives.
const aliveEvery = 100 * time.Millisecond

// management is the socket by which ovs-vswitchd serves a bridge.
func (c *Client) management(bridge string) string {
	return filepath.Join(filepath.Dir(c.Socket), bridge+".mgmt")
}

// alive tells by an error that ovs-vswitchd does not run, or not with this bridge. OVSDB takes a change without it, and
// who waited for that to be done would wait in vain.
func (c *Client) alive(ctx context.Context, bridge string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.management(bridge))
	switch {
	case err == nil:
		return conn.Close()
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED): // it ended in order, or not
		return fmt.Errorf("ovs-vswitchd does not run with bridge %s: %w", bridge, unavailable(err))
	}
	return nil // it may be slow
}

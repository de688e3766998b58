// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"syscall"
	"time"
)

// aliveEvery is how often who waits for ovs-vswitchd sees whether it lives.
const aliveEvery = 100 * time.Millisecond

// hello is the first message of OpenFlow 1.0. Without one, ovs-vswitchd would log that somebody hung up on it.
var hello = []byte{1, 0, 0, 8, 0, 0, 0, 1}

// management is the socket by which ovs-vswitchd serves a bridge.
func (c *Client) management(bridge string) string {
	return filepath.Join(filepath.Dir(c.Socket), bridge+".mgmt")
}

// alive tells by an error that ovs-vswitchd does not run, or not with this bridge. OVSDB takes a change without it, and
// who waited for that to be done would wait in vain.
func (c *Client) alive(ctx context.Context, bridge string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.management(bridge))
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED): // it ended in order, or not
		return fmt.Errorf("ovs-vswitchd does not run with bridge %s: %w", bridge, unavailable(err))
	case err != nil:
		return nil // it may be slow
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(aliveEvery))
	if _, err := conn.Write(hello); err == nil {
		_, _ = io.ReadFull(conn, make([]byte, len(hello))) // its own; that there is a listener says enough
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"fmt"
	"net"

	"github.com/mizar-go/mizar/examples/transitd/internal/config"
	"golang.org/x/sys/unix"
)

// local is the identity of a client of the Unix socket, as the kernel saw it connect.
func local(c *net.UnixConn) Identity {
	who := Identity{Name: "local", Role: config.RoleWrite}
	raw, err := c.SyscallConn()
	if err != nil {
		return who
	}
	_ = raw.Control(func(fd uintptr) {
		if u, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			who.Name = fmt.Sprintf("uid:%d", u.Uid)
		}
	})
	return who
}

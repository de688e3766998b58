// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
)

// Capable tells, before anything is touched, which capability the calling thread lacks to set up
// interfaces and attach to them, and to enter other network namespaces, if that has to be. It gives a
// [bpf.ErrPermission] that names it.
func Capable(enter bool) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	has := func(bit int) bool { return data[bit/32].Effective>>(bit%32)&1 != 0 }
	switch {
	case !has(unix.CAP_NET_ADMIN):
		return fmt.Errorf("%w: it takes CAP_NET_ADMIN", bpf.ErrPermission)
	case !has(unix.CAP_BPF) && !has(unix.CAP_SYS_ADMIN):
		return fmt.Errorf("%w: it takes CAP_BPF", bpf.ErrPermission)
	case enter && !has(unix.CAP_SYS_ADMIN):
		return fmt.Errorf("%w: it takes CAP_SYS_ADMIN, to enter another network namespace", bpf.ErrPermission)
	}
	return nil
}

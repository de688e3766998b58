// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"math"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// HaveTCX tells whether the kernel has tcx (6.6). Where that may not be asked it says yes, so that
// attaching tells what is lacking.
func HaveTCX() bool {
	// Of no interface: a kernel with tcx says ENODEV, one without EINVAL.
	_, err := link.QueryPrograms(link.QueryOptions{Target: math.MaxInt32, Attach: ebpf.AttachTCXIngress})
	return !errors.Is(err, unix.EINVAL) && !errors.Is(err, ebpf.ErrNotSupported)
}

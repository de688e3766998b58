// SPDX-License-Identifier: Apache-2.0

package host

import (
	"github.com/mizar-go/mizar/bpf"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

var modes = [...]bpf.Mode{
	pb.Mode_MODE_UNSPECIFIED: bpf.Auto,
	pb.Mode_MODE_NATIVE:      bpf.Native,
	pb.Mode_MODE_GENERIC:     bpf.Generic,
	pb.Mode_MODE_TCX:         bpf.TCX,
	pb.Mode_MODE_OFFLOAD:     bpf.Offload,
}

func (r *reader) mode(field string, m pb.Mode, offload bool) bpf.Mode {
	if m < 0 || int(m) >= len(modes) || m == pb.Mode_MODE_OFFLOAD && !offload {
		r.fail(wrong(field, "%v is no mode here", m))
		return bpf.Auto
	}
	return modes[m]
}

func fromMode(m bpf.Mode) pb.Mode {
	for i, mode := range modes {
		if mode == m {
			return pb.Mode(i)
		}
	}
	return pb.Mode_MODE_UNSPECIFIED
}

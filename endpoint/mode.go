// SPDX-License-Identifier: Apache-2.0

package endpoint

import "github.com/mizar-go/mizar/bpf"

// Mode is how the agent is attached.
type Mode = bpf.Mode

const (
	Auto    = bpf.Auto    // TCX
	Native  = bpf.Native  // XDP on the veth: no segmentation offload for the workload
	Generic = bpf.Generic // XDP in the stack
	TCX     = bpf.TCX     // keeps segmentation and checksum offload
)

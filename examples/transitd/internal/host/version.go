// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// Version tells what runs.
func (h *Host) Version() (*pb.GetVersionResponse, error) {
	v := &pb.GetVersionResponse{Go: runtime.Version(), Programs: bpf.Build(), Instance: h.dp.Name()}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.Version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, err
	}
	v.Kernel = unix.ByteSliceToString(uts.Release[:])
	name, err := os.Hostname()
	v.Hostname = name
	return v, err
}

// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
)

var (
	// ErrNotSupported: this kernel, or the device's driver, lacks what was asked for. The message names
	// the feature and the first kernel that has it.
	ErrNotSupported = errors.New("not supported")
	// ErrABI: a pinned object is not what this version of the library made: another type, size or layout.
	ErrABI = errors.New("pinned object does not fit this library")
	// ErrPermission: the process lacks a capability. The message names it.
	ErrPermission = errors.New("permission denied")
)

// explain gives the kernel's answer to a load its typed error. The verifier's log stays within reach of
// errors.As with *ebpf.VerifierError.
func explain(verb string, err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &verifier) && len(verifier.Log) > 1:
		// The verifier says EACCES, too: that is no missing capability.
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: %w: it takes CAP_BPF and CAP_NET_ADMIN: %w", verb, ErrPermission, err)
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%s: %w: %w", verb, ErrNotSupported, err)
	}
	return fmt.Errorf("%s: %w", verb, err)
}

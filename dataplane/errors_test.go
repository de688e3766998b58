// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The kernel says EACCES also of a program that it refuses: no capability helps there.
func TestRefusedProgramIsNotDenied(t *testing.T) {
	require.ErrorIs(t, explain(fmt.Errorf("pin: %w", unix.EACCES)), ErrPermission)
	refused := fmt.Errorf("load: %w", &ebpf.VerifierError{Cause: unix.EACCES, Log: []string{"0: (b7) r0 = 0", "invalid"}})
	require.NotErrorIs(t, explain(refused), ErrPermission)
	require.ErrorIs(t, explain(refused), unix.EACCES)
	require.NoError(t, explain(nil))
}

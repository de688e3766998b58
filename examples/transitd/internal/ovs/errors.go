// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"errors"
	"fmt"

	"github.com/mizar-go/mizar/dataplane"
)

var (
	// ErrUnavailable: OVSDB or ovs-vswitchd does not answer.
	ErrUnavailable = errors.New("open vswitch is not available")
	// ErrNotOurs: a port of that name is there, and somebody else made it. It is a [dataplane.ErrExists].
	ErrNotOurs = fmt.Errorf("made by somebody else: %w", dataplane.ErrExists)
	// ErrRefused: ovs-vswitchd could not make what the database asks for.
	ErrRefused = errors.New("refused by ovs-vswitchd")
)

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, dataplane.ErrInvalid)...)
}

func notFound(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, dataplane.ErrNotFound)...)
}

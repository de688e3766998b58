// SPDX-License-Identifier: Apache-2.0

package config

import "fmt"

// Role is what a client may do. More is greater.
type Role uint8

const (
	// RoleNone is of nobody that is known.
	RoleNone Role = iota
	// RoleRead may call what changes nothing.
	RoleRead
	// RoleWrite may call everything.
	RoleWrite
)

// String is as the file has it.
func (r Role) String() string {
	switch r {
	case RoleRead:
		return "read"
	case RoleWrite:
		return "write"
	}
	return "none"
}

// UnmarshalText is of read and write.
func (r *Role) UnmarshalText(text []byte) error {
	switch string(text) {
	case "read":
		*r = RoleRead
	case "write":
		*r = RoleWrite
	default:
		return fmt.Errorf("%q is neither read nor write", text)
	}
	return nil
}

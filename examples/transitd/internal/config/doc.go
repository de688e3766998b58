// SPDX-License-Identifier: Apache-2.0

// Package config is the daemon's configuration: a YAML file, checked as a whole before anything is done. Each
// mistake is told with its file, its line and its field. A file that says nothing is a good one: the data-plane
// that the library makes by default, on a Unix socket.
//
// It takes no capability, and looks at nothing but the file and $STATE_DIRECTORY: certificates, groups and
// addresses are looked at where they are used.
package config

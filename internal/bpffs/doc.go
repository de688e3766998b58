// SPDX-License-Identifier: Apache-2.0

// Package bpffs finds or mounts the file system that keeps pins, and checks that a directory on it is
// nobody else's.
//
// A mount made by [Ensure] is never taken away: it stays with the mount namespace. Checking takes no
// capability, mounting CAP_SYS_ADMIN.
package bpffs

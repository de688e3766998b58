// SPDX-License-Identifier: Apache-2.0

//go:build race

package main

// slower is how much longer things may take with the race detector.
const slower = 12

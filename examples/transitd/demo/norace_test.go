// SPDX-License-Identifier: Apache-2.0

//go:build !race

package main

// raceFlag is nothing without it.
const raceFlag = ""

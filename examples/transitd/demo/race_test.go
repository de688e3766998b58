// SPDX-License-Identifier: Apache-2.0

//go:build race

package main

// raceFlag has the daemons built with the race detector: one that finds something exits with an error.
const raceFlag = " -race"

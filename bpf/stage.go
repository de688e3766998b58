// SPDX-License-Identifier: Apache-2.0

package bpf

import "strconv"

// Stage is where in the pipeline functions run: function.h says what of a packet is known there.
type Stage = TableStage

// String is the stage's name: send, parse, deliver, forward or drop.
func (i TableStage) String() string {
	names := []string{"none", "send", "parse", "deliver", "forward", "drop"}
	if int(i) < len(names) {
		return names[i]
	}
	return "stage " + strconv.Itoa(int(i))
}

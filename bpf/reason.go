// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"strconv"
	"strings"
)

// Reason is why a packet went where it went: a verdict, or from [TableReasonREASON_DROP_FIRST] on what it
// was dropped for. It indexes the counters. Numbers and names stay what they are; new ones are appended.
type Reason = TableReason

// Hook is the program that took a verdict, and where it ran.
type Hook = TableHook

// String is the name in lib/reason.h, which says what it stands for: DELIVER, DROP_OUTER_SHORT.
// Those of functions are FUNCTION_ and their number here; tables know what the function calls them.
func (i TableReason) String() string {
	if i >= TableReasonREASON_FUNCTION_FIRST && i < TableReasonREASON_MAX {
		return "FUNCTION_" + strconv.Itoa(int(i-TableReasonREASON_FUNCTION_FIRST))
	}
	return strings.TrimPrefix(i.name(), "REASON_")
}

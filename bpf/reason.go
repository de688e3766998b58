// SPDX-License-Identifier: Apache-2.0

package bpf

import "strings"

// Reason is why a packet went where it went: a verdict, or from [TableReasonREASON_DROP_FIRST] on what it
// was dropped for. It indexes the counters. Numbers and names stay what they are; new ones are appended.
type Reason = TableReason

// Hook is the program that took a verdict, and where it ran.
type Hook = TableHook

// String is the name in lib/reason.h, which says what it stands for: DELIVER, DROP_OUTER_SHORT.
func (i TableReason) String() string {
	return strings.TrimPrefix(i.name(), "REASON_")
}

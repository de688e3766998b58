// SPDX-License-Identifier: Apache-2.0

// Package fill tells how full the tables of a data-plane are.
//
// The kernel does not say how many rows a table has: somebody has to walk through it, which takes most of a
// second where there are a million. So a [Meter] counts in the background, when it is asked, never twice at
// once, and answers from the last count for a while. It takes no lock of the data-plane: it looks at it as any
// tool does, with [dataplane.InspectAt], which takes CAP_BPF and the right to read root's files.
package fill

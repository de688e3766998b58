// SPDX-License-Identifier: Apache-2.0

// Package maps is the data-plane's tables as Go types: netip addresses in, wire bytes out.
//
// [Open] takes the maps of package bpf and reads what their rows refer to. From then on the [Tables] are
// the only writer: bouncers and dividers are kept as shared sets that are counted, and what nobody refers
// to is freed once no program can be reading it. [OpenReadOnly] changes nothing and may look at tables
// that another process is writing.
//
// Nothing here blocks but for a grace period of the kernel's (some 15 ms) now and then, so no call takes
// a context. All of it may be called from several goroutines. A row that was given to Put may be changed
// afterwards, one that was returned is the caller's.
//
// Rows live in the kernel for as long as the maps do: [Tables.Close] frees what is out of use and ends
// the use of these Tables, and removes nothing else. The maps stay the caller's to close.
//
// What makes no sense is [ErrInvalid], to Get and Delete of what is not there the answer is [ErrNotFound],
// and Put gives [ErrFull] where there is no room. All goes in no order but where it says so, and ends after
// the first error that it yields. All numbers are in host order.
//
// Kernel 6.1 is the oldest that is tested. Every call takes CAP_BPF.
package maps

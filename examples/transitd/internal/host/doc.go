// SPDX-License-Identifier: Apache-2.0

// Package host is what the transit daemon does to its host, without the RPC: it opens a data-plane, writes what
// clients want, one after the other, and remembers it.
//
// What is wanted is on disk before it is done (package journal), so that a daemon that was killed half-way finds
// it, compares it with what is in the kernel, and finishes. What is there and was never asked for is foreign: it is
// shown, and only an explicit call changes it.
//
// Resources are the messages of the API. Each kind says in one [spec] how it is read, written and compared; Put,
// Remove, Apply and the repair at the start are the same for all of them. Endpoints of other hosts, which may be a
// million, are kept and written in bulk instead.
//
// A Host holds the lock of the data-plane until it is closed; traffic flows without it. It takes what
// dataplane.Open takes.
package host

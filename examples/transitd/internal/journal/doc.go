// SPDX-License-Identifier: Apache-2.0

// Package journal keeps on disk what a host shall be like, so that a daemon that is killed finds it again.
//
// A change is written, and synced, before it is made: [Journal.Begin]. After it was made, or undone, the daemon says
// so: [Journal.End]. What was begun and not ended when the daemon died is told by [Open] as pending: it may be made
// whole, in part or not at all.
//
// The file is a row of frames, each with its length and checksums (CRC-32C). The first says everything, the others
// what changed; once there is much more of these, the file is written anew and renamed over the old one. What is cut
// off at the end was never begun; each frame says how much was on disk before it, which tells that from damage. Damage
// is [ErrDamaged]: nothing is guessed.
package journal

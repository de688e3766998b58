// SPDX-License-Identifier: Apache-2.0

// Package encap reads and writes Geneve headers (RFC 8926) and the options that Mizar hosts put into
// them. It is pure Go: it needs no kernel and no capability, and imports nothing of the library.
//
// [Header.AppendBinary] writes a header, [Decode] reads one and gives what follows it. Both keep options
// as they are on the wire; [Header.Known] gives those of ours their meaning, and refuses a critical one
// that has none here. A header is parsed whole or not at all: every way in which it can be malformed is
// an error of this package's.
//
// Numbers are in host order, and in network order on the wire. The data of options is bytes of the wire.
//
// Who reads packet after packet does it without an allocation by [DecodeInto] and
// [Header.ReturnToSender]. [SourcePort] is the UDP port that a tunnel packet comes from.
//
// Nothing here holds a resource. Decode does not copy: the options it returns lie in the caller's buffer
// and are good for as long as that is. All functions may be called concurrently.
package encap

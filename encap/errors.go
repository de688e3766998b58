// SPDX-License-Identifier: Apache-2.0

package encap

import "errors"

var (
	// ErrShort: the bytes end inside the header or its options.
	ErrShort = errors.New("geneve header is cut short")
	// ErrVersion: not version 0, the only one there is.
	ErrVersion = errors.New("unknown geneve version")
	// ErrProtocol: the header names no protocol for what follows it.
	ErrProtocol = errors.New("no protocol")
	// ErrVNI: the network identifier needs more than 24 bits.
	ErrVNI = errors.New("vni needs more than 24 bits")
	// ErrOptionLength: an option reaches beyond the options, or its data is longer than [MaxOptionData]
	// or not of whole words.
	ErrOptionLength = errors.New("wrong option length")
	// ErrTooLong: the options together are longer than [MaxOptions].
	ErrTooLong = errors.New("options too long")
	// ErrCritical: an option is critical and not known. Such a packet is to be dropped.
	ErrCritical = errors.New("unknown critical option")
	// ErrReturnToSender: of a wrong size, with too many hops, or with a host that no packet comes from.
	ErrReturnToSender = errors.New("bad return-to-sender")
	// ErrDoubled: an option that may stand once stands twice.
	ErrDoubled = errors.New("option stands twice")
)

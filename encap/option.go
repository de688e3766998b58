// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"encoding/binary"
	"fmt"
)

const (
	// OptionCritical is the bit of an option's type that says: drop the packet if you do not know me.
	OptionCritical = 0x80
	// MaxOptionData is the most bytes of data that an option carries.
	MaxOptionData = 31 * 4

	optionSize = 4 // without data
)

// Option is one option as it is on the wire.
type Option struct {
	// Class says whose types these are. Ours is [OptionClass] unless configured.
	Class uint16
	// Type is the class's number for the option, with [OptionCritical] where it is critical.
	Type uint8
	// Data follows; whole words of 4 bytes, at most [MaxOptionData]. Nil: none.
	Data []byte
}

// Critical tells whether who does not know the option has to drop the packet.
func (o Option) Critical() bool {
	return o.Type&OptionCritical != 0
}

// Size is the size of the option in bytes.
func (o Option) Size() int {
	return optionSize + len(o.Data)
}

func (o Option) validate() error {
	if len(o.Data) > MaxOptionData || len(o.Data)%4 != 0 {
		return fmt.Errorf("%w: %d bytes of data", ErrOptionLength, len(o.Data))
	}
	return nil
}

func (o Option) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, o.Class)
	b = append(b, o.Type, byte(len(o.Data)/4))
	return append(b, o.Data...)
}

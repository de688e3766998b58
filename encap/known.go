// SPDX-License-Identifier: Apache-2.0

package encap

import "fmt"

// OptionClass is the class of our options: one of those kept for experiments (0xff00 to 0xffff). All
// hosts of a fleet have to use the same.
const OptionClass uint16 = 0xff4d

// Types of our class, without [OptionCritical].
const (
	typeReturnToSender = 0x01
)

// Known is what the options of a header say that are ours.
type Known struct {
	// ReturnToSender is nil where the packet came straight from its endpoint's host.
	ReturnToSender *ReturnToSender
}

// Known reads the options of our class. Those of other classes or types are skipped, unless they are
// critical: [ErrCritical]. One of ours that is malformed or stands twice gives [ErrReturnToSender] or
// [ErrDoubled]. Of several mistakes the first in the packet counts.
func (h Header) Known(class uint16) (Known, error) {
	var k Known
	for i, o := range h.Options {
		switch {
		case o.Class == class && o.Type&^OptionCritical == typeReturnToSender:
			if k.ReturnToSender != nil {
				return Known{}, fmt.Errorf("read geneve option %d: return-to-sender: %w", i, ErrDoubled)
			}
			r, err := parseReturnToSender(o)
			if err != nil {
				return Known{}, fmt.Errorf("read geneve option %d: %w", i, err)
			}
			k.ReturnToSender = &r
		case o.Critical():
			return Known{}, fmt.Errorf("read geneve option %d: %w: class %#04x, type %#02x", i, ErrCritical, o.Class, o.Type)
		}
	}
	return k, nil
}

// ReturnToSender reads the options as [Header.Known] does, with the same errors, and allocates nothing
// where they are good. Not found: the packet came straight from its endpoint's host.
func (h *Header) ReturnToSender(class uint16) (r ReturnToSender, found bool, err error) {
	for i := range h.Options {
		o := &h.Options[i]
		switch {
		case o.Class == class && o.Type&^OptionCritical == typeReturnToSender:
			if found {
				return ReturnToSender{}, false, ErrDoubled
			}
			if r, err = parseReturnToSender(*o); err != nil {
				return ReturnToSender{}, false, err
			}
			found = true
		case o.Critical():
			return ReturnToSender{}, false, ErrCritical
		}
	}
	return r, found, nil
}

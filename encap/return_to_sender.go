// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"fmt"
	"net/netip"
)

// MaxHops is the most hops that a return-to-sender may grant, and what an agent grants.
const MaxHops = 4

// returnToSenderData: hops, three bytes of padding, the host's address.
const returnToSenderData = 4 + 16

// ReturnToSender goes with a packet that takes its way by a bouncer or divider. It tells who receives the
// packet where the source endpoint lives, so that answers go there directly.
type ReturnToSender struct {
	// Host is the underlay address of the source endpoint's host. IPv4 or IPv6; the zero address is
	// refused, as are multicast, loopback, and IPv4's 0.0.0.0/8 and 240.0.0.0/4.
	Host netip.Addr
	// Hops is how many times the packet may still be bounced, at most [MaxHops]. Zero: it has to be
	// delivered by the host that it is sent to.
	Hops uint8
	// Critical: the packet is coming back to Host, because its destination is not where it was sent.
	Critical bool
}

// Option is the option as it is on the wire. The class is [OptionClass], or what the fleet uses instead.
// The error is [ErrReturnToSender].
func (r ReturnToSender) Option(class uint16) (Option, error) {
	if err := r.validate(); err != nil {
		return Option{}, fmt.Errorf("encode geneve option: %w", err)
	}
	o := Option{Class: class, Type: typeReturnToSender, Data: make([]byte, 0, returnToSenderData)}
	if r.Critical {
		o.Type |= OptionCritical
	}
	host := r.Host.As16() // IPv4 as ::ffff:a.b.c.d
	o.Data = append(o.Data, r.Hops, 0, 0, 0)
	o.Data = append(o.Data, host[:]...)
	return o, nil
}

func (r ReturnToSender) validate() error {
	if r.Hops > MaxHops {
		return fmt.Errorf("%w: %d hops, at most %d", ErrReturnToSender, r.Hops, MaxHops)
	}
	if !isHost(r.Host) {
		return fmt.Errorf("%w: host %v", ErrReturnToSender, r.Host)
	}
	return nil
}

// parseReturnToSender ignores the padding, for what it may be one day.
func parseReturnToSender(o Option) (ReturnToSender, error) {
	if len(o.Data) != returnToSenderData {
		return ReturnToSender{}, fmt.Errorf("%w: %d bytes, not %d", ErrReturnToSender, len(o.Data), returnToSenderData)
	}
	r := ReturnToSender{
		Host:     netip.AddrFrom16([16]byte(o.Data[4:])).Unmap(),
		Hops:     o.Data[0],
		Critical: o.Critical(),
	}
	if err := r.validate(); err != nil {
		return ReturnToSender{}, err
	}
	return r, nil
}

// isHost tells whether packets of a host can have this source. The programs draw the same line.
func isHost(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	if a.Is4() {
		first := a.As4()[0]
		return first != 0 && first != 127 && first < 224
	}
	return !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast()
}

// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net/netip"
)

// Uplink is the name of every host's interface on the underlay.
const Uplink = "uplink"

const bridge = "switch"

// Switch is the underlay: a bridge in a namespace of its own, and the hosts plugged into it.
type Switch struct {
	ns  *Namespace
	xdp bool
}

// NewSwitch makes a switch without ports; with xdp, its ports will suit hosts that run native XDP.
func NewSwitch(xdp bool) (_ *Switch, err error) {
	ns, err := NewNamespace("switch")
	if err != nil {
		return nil, err
	}
	s := &Switch{ns: ns, xdp: xdp}
	defer func() {
		if err != nil {
			err = fmt.Errorf("create switch: %w", errors.Join(err, s.Close()))
		}
	}()
	if err := ns.Bridge(bridge); err != nil {
		return nil, err
	}
	return s, nil
}

// Host is a namespace with an [Uplink] to the switch.
type Host struct {
	*Namespace
	Addr netip.Addr // on the underlay
}

// Host makes a host and plugs it in, with an underlay address and its prefix's length.
func (s *Switch) Host(name string, addr netip.Prefix) (_ *Host, err error) {
	ns, err := NewNamespace(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("plug in host %s: %w", name, errors.Join(err, ns.Close()))
		}
	}()
	port := "to-" + name
	if err := s.ns.Wire(port, ns, Uplink, 1500); err != nil {
		return nil, err
	}
	if s.xdp {
		if err := s.ns.CarryXDP(port); err != nil {
			return nil, err
		}
	}
	// IPv6 addresses that nobody asked for would only make the host talk.
	if err := ns.Sysctl("ipv6/conf/"+Uplink+"/disable_ipv6", "1"); err != nil {
		return nil, err
	}
	if err := errors.Join(s.ns.Enslave(port, bridge), ns.Assign(Uplink, addr)); err != nil {
		return nil, err
	}
	return &Host{Namespace: ns, Addr: addr.Addr()}, Connect(s.ns, port, ns, Uplink)
}

// Close takes the switch away. The hosts stay, unplugged, until they are closed.
func (s *Switch) Close() error {
	return s.ns.Close()
}

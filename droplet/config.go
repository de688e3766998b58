// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/maps"
)

// Mode is how transit is attached.
type Mode = bpf.Mode

const (
	Auto    = bpf.Auto    // from the driver and what the kernel has; [Droplet.Why] says why
	Native  = bpf.Native  // XDP in the driver
	Generic = bpf.Generic // XDP in the stack
	TCX     = bpf.TCX     // tcx, or clsact before kernel 6.6
	Offload = bpf.Offload // XDP in the device
)

// Options say where a [Manager] works.
type Options struct {
	// Name is the data-plane's. Devices that the library makes are named after it. Never empty.
	Name string
	// Links is a directory on bpffs for the pins of what is attached. Never empty; it has to be there.
	Links string
	// NetNS is the data-plane's network namespace, the caller's to close. Nil: that of whoever calls.
	NetNS *netns.Handle
	// Logger hears of choices and of remains. Nil: nobody does.
	Logger *slog.Logger
}

func (o *Options) validate() error {
	switch {
	case o.Name == "":
		return fmt.Errorf("no name: %w", maps.ErrInvalid)
	case o.Links == "":
		return fmt.Errorf("no directory for links: %w", maps.ErrInvalid)
	}
	return nil
}

// Config says which interface becomes a droplet, and how.
type Config struct {
	// Interface is its name. It may be down; traffic flows when it is up. Never empty.
	Interface string
	// Mode is how transit is attached. Zero: Auto.
	Mode Mode
	// Addrs are the underlay addresses that are this host's there. The first of each family is the source
	// of tunnel packets that leave by the interface. Empty: the interface's own of global scope, without
	// temporary ones.
	Addrs []netip.Addr
	// Cookie is the caller's own.
	Cookie uint64
}

func (c *Config) validate() error {
	switch {
	case c.Interface == "" || len(c.Interface) >= unix.IFNAMSIZ:
		return fmt.Errorf("interface name %q: %w", c.Interface, maps.ErrInvalid)
	case c.Mode > Offload:
		return fmt.Errorf("%s: %w", c.Mode, maps.ErrInvalid)
	}
	return nil
}

// Droplet is an interface with transit attached.
type Droplet struct {
	// Interface is its name now; where it is gone, the name it had.
	Interface string
	// Ifindex is the kernel's number for it.
	Ifindex int
	// Mode is how transit is attached, never Auto.
	Mode Mode
	// Why says in a sentence why it is that mode. Only Attach knows; empty from the others.
	Why string
	// Addrs are its underlay addresses, the outer sources first.
	Addrs []netip.Addr
	// MAC is the interface's when it was attached, or updated last.
	MAC net.HardwareAddr
	// MTU is the interface's when it was attached, or updated last, in bytes.
	MTU int
	// Cookie is the caller's own.
	Cookie uint64
	// Traffic is the droplet's slot in the traffic table. Zero: it has none.
	Traffic uint32
	// Gone: the interface is no more, or left the namespace. Detach clears away what remains.
	Gone bool
	// Partial: attaching or detaching was cut short, or somebody took a program off. Detach completes it,
	// Attach starts afresh.
	Partial bool
}

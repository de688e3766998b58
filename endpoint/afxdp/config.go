// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/encap"
)

// Config says where a function's packets come from, and how.
type Config struct {
	// Interface is its name: a veth that is the function's own, or a NIC. Never empty.
	Interface string

	// NetNS is the path of the network namespace that it is in (/run/netns/NAME, /proc/PID/ns/net). Empty:
	// the caller's.
	NetNS string

	// Queues are the receive queues that get a socket each. Empty: all that the interface has.
	Queues []int

	// Mode is how the program is attached: [bpf.Native] or [bpf.Generic]. Zero: native where the driver has
	// it, else generic; [Port.Why] says why.
	Mode bpf.Mode

	// ZeroCopy has the NIC write into the memory of the sockets. [bpf.ErrNotSupported] where the driver
	// cannot, as that of a veth. False: the kernel copies.
	ZeroCopy bool

	// PassOthers gives packets of queues without a socket to the kernel's stack, for a NIC with queues that
	// are the host's. False: they are dropped.
	PassOthers bool

	// Pin is a directory on bpffs, made if it is not there, for the program to stay in when its process dies:
	// packets are dropped then, or passed, and counted by [Unclaimed]; the next Open takes over. Close leaves it
	// attached, [Remove] takes it off. Mode and PassOthers are of who attached it. Empty: it goes with the Port.
	Pin string

	// Map is one of sockets whose program somebody else attached, see [NewProgram]; nothing is attached
	// then, and Mode and PassOthers are not looked at. It stays the caller's. Nil: one is made, and a program
	// for it.
	Map *ebpf.Map

	// MultiBuffer takes packets that are larger than a frame, in several of them; kernel 6.6. False: where
	// the interface's MTU needs it.
	MultiBuffer bool

	// FrameSize is that of a buffer in bytes, 2048 or 4096; what is received begins after 256 of them. Zero:
	// 2048 where a packet of the interface's MTU fits, else 4096.
	FrameSize int

	// RingSize is how many buffers there are to receive into, for each queue, and as many more to send: a
	// power of two, 32 to 32768. They are memory that is locked: 8 MiB a queue, as it is by default. Zero: 2048.
	RingSize int

	// Port is the UDP port of tunnel packets. Zero: [encap.Port].
	Port uint16

	// OptionClass is the class of the fleet's Geneve options. Zero: [encap.OptionClass].
	OptionClass uint16
}

const (
	minFrameSize = 2048 // XDP_UMEM_MIN_CHUNK_SIZE
	maxFrameSize = 4096 // the smallest page there is
	minRingSize  = 32   // more than a packet has buffers
	maxRingSize  = 1 << 15

	defaultRingSize = 2048
)

// validate says what is wrong with a config by itself, and fills in what needs no look at the interface.
func (c Config) validate() (Config, error) {
	if c.Interface == "" || len(c.Interface) >= unix.IFNAMSIZ {
		return c, invalid("interface name %q", c.Interface)
	}
	for i, q := range c.Queues {
		if q < 0 {
			return c, invalid("queue %d", q)
		}
		if slices.Contains(c.Queues[:i], q) {
			return c, invalid("queue %d: twice", q)
		}
	}
	switch c.Mode {
	case bpf.Auto, bpf.Native, bpf.Generic:
	default:
		return c, invalid("mode %s: not native or generic XDP", c.Mode)
	}
	if c.Map != nil && c.Pin != "" {
		return c, invalid("a map of somebody else's has a program that is not ours to pin")
	}
	if c.Map != nil && c.Map.Type() != ebpf.XSKMap {
		return c, invalid("map of type %s: not of sockets", c.Map.Type())
	}
	if c.FrameSize != 0 && c.FrameSize != minFrameSize && c.FrameSize != maxFrameSize {
		return c, invalid("frame size %d: not %d or %d", c.FrameSize, minFrameSize, maxFrameSize)
	}
	if c.RingSize == 0 {
		c.RingSize = defaultRingSize
	}
	if c.RingSize < minRingSize || c.RingSize > maxRingSize || c.RingSize&(c.RingSize-1) != 0 {
		return c, invalid("ring size %d: no power of two from %d to %d", c.RingSize, minRingSize, maxRingSize)
	}
	if c.Port == 0 {
		c.Port = encap.Port
	}
	if c.OptionClass == 0 {
		c.OptionClass = encap.OptionClass
	}
	return c, nil
}

// fit fills in what depends on the interface's MTU.
func (c Config) fit(mtu int) Config {
	packet := mtu + 14 + 4 // Ethernet, and a VLAN tag
	if c.FrameSize == 0 {
		c.FrameSize = minFrameSize
		if packet > minFrameSize-unix.XDP_PACKET_HEADROOM {
			c.FrameSize = maxFrameSize
		}
	}
	if packet > c.FrameSize-unix.XDP_PACKET_HEADROOM {
		c.MultiBuffer = true
	}
	return c
}

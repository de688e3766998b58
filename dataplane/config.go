// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/maps"
)

const (
	// DefaultName is the instance's where [Config.Name] is empty.
	DefaultName = "default"
	// DefaultBPFFS is where bpffs is looked for, and mounted if there is none.
	DefaultBPFFS = "/sys/fs/bpf"
	// DefaultDirectAge is short, as a host that dies takes its direct paths with it only after that long.
	// A packet by a bouncer renews one.
	DefaultDirectAge = 30 * time.Second
	// DefaultPathAge is what RFC 1191 recommends.
	DefaultPathAge = 10 * time.Minute
	// DefaultEventsPerSecond is per CPU.
	DefaultEventsPerSecond = 100

	// refresh is how often XDP, which does not keep neighbours fresh, shows the kernel a packet to each
	// next hop: a change is followed within a second.
	refresh = 500 * time.Millisecond

	maxName = 32
)

// Config says which instance to open, and what it shall be like. Where the instance exists already, zero
// fields leave it as it is.
type Config struct {
	// Name tells instances on a host apart: up to 32 letters, digits, - and _. Empty: [DefaultName].
	Name string
	// NetNS is the path of the network namespace that the instance belongs to (/run/netns/NAME,
	// /proc/PID/ns/net). Empty: the caller's.
	NetNS string
	// BPFFS is the mount point of the bpffs to pin in; one is mounted there if there is none. Empty:
	// [DefaultBPFFS].
	BPFFS string
	// Limits sizes the tables when they are made. Those of an existing instance keep their sizes, which
	// [Dataplane.Limits] tells; Open logs a warning where they differ from what is asked for.
	Limits bpf.Limits
	// Port is the UDP port of Geneve, the same on all hosts. Zero: [maps.DefaultPort].
	Port uint16
	// DirectAge is how long after the last packet from it a learned host is forgotten. Zero:
	// [DefaultDirectAge].
	DirectAge time.Duration
	// PathAge is how long a learned path MTU counts. Zero: [DefaultPathAge].
	PathAge time.Duration
	// EventsPerSecond bounds, for each CPU, the drops that are reported to [Stats.Events]. Zero:
	// [DefaultEventsPerSecond]; negative: none.
	EventsPerSecond int
	// Logger takes the few things worth saying. Nil: nothing is said.
	Logger *slog.Logger
}

// withDefaults fills in what says where and how, but not what an existing instance already decided.
func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = DefaultName
	}
	if c.BPFFS == "" {
		c.BPFFS = DefaultBPFFS
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	if err := validName(c.Name); err != nil {
		return err
	}
	switch {
	case c.DirectAge < 0:
		return fmt.Errorf("direct age %v: %w", c.DirectAge, ErrInvalid)
	case c.PathAge < 0:
		return fmt.Errorf("path age %v: %w", c.PathAge, ErrInvalid)
	case c.EventsPerSecond > math.MaxInt32:
		return fmt.Errorf("events per second %d: %w", c.EventsPerSecond, ErrInvalid)
	}
	return nil
}

// validName keeps to what bpffs takes in a file name, which is no dot, and to this one directory.
func validName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("name %q: %w: it takes 1 to %d characters", name, ErrInvalid, maxName)
	}
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
		default:
			return fmt.Errorf("name %q: %w: letters, digits, - and _ only", name, ErrInvalid)
		}
	}
	return nil
}

// namespace opens the one the instance belongs to.
func (c Config) namespace() (*netns.Handle, error) {
	if c.NetNS == "" {
		return netns.Current()
	}
	return netns.FromPath(c.NetNS)
}

// settings are those of a new instance, but for what the kernel has to tell.
func (c Config) settings() maps.Settings {
	s := maps.Settings{
		Port:            maps.DefaultPort,
		OptionClass:     maps.OptionClass,
		DirectAge:       DefaultDirectAge,
		PathAge:         DefaultPathAge,
		Refresh:         refresh,
		EventsPerSecond: DefaultEventsPerSecond,
	}
	return c.change(s)
}

// change has what is asked for take the place of what is.
func (c Config) change(s maps.Settings) maps.Settings {
	if c.Port != 0 {
		s.Port = c.Port
	}
	if c.DirectAge != 0 {
		s.DirectAge = c.DirectAge
	}
	if c.PathAge != 0 {
		s.PathAge = c.PathAge
	}
	if c.EventsPerSecond != 0 {
		s.EventsPerSecond = uint32(max(c.EventsPerSecond, 0))
	}
	return s
}

// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/mizar-go/mizar/bpf"
)

const (
	// DefaultPort is Geneve's UDP port.
	DefaultPort = 6081
	// OptionClass is the class of our Geneve options, of the range for experiments.
	OptionClass = 0xff4d
)

// Settings are what every packet depends on.
type Settings struct {
	FIBIfindex      int           // a device of ours with forwarding on, where route lookups start
	Port            uint16        // UDP port of Geneve; zero: DefaultPort
	OptionClass     uint16        // class of our Geneve options; zero: the constant of that name
	DirectAge       time.Duration // a learned host is forgotten so long after the last packet from it
	PathAge         time.Duration // a learned path MTU is forgotten so long after it was learned
	Refresh         time.Duration // how often XDP lets the kernel see a packet to a next hop
	EventsPerSecond uint32        // for each CPU; 0: none
	NetNS           uint64        // cookie of the network namespace that the data-plane belongs to
	Build           uint64        // of the programs: another library replaces them
}

func (s Settings) validate() error {
	if s.FIBIfindex < 0 || s.FIBIfindex > math.MaxInt32 {
		return invalid("%d is no interface index", s.FIBIfindex)
	}
	if s.DirectAge < 0 || s.PathAge < 0 || s.Refresh < 0 {
		return invalid("a time is negative")
	}
	return nil
}

// SettingsTable holds the one row of settings.
type SettingsTable struct{ s *store }

// Put replaces the settings.
func (t *SettingsTable) Put(row Settings) error {
	return naming(t.s.change(func() error {
		if err := row.validate(); err != nil {
			return err
		}
		if row.Port == 0 {
			row.Port = DefaultPort
		}
		if row.OptionClass == 0 {
			row.OptionClass = OptionClass
		}
		secret, err := t.s.secret()
		if err != nil {
			return err
		}
		return t.s.settings.put(0, bpf.TableSettings{
			Secret:          secret,
			Stages:          t.s.stages.have(),
			FibIfindex:      uint32(row.FIBIfindex),
			Port:            row.Port,
			OptionClass:     row.OptionClass,
			DirectAgeNs:     uint64(row.DirectAge),
			PathAgeNs:       uint64(row.PathAge),
			RefreshNs:       uint64(row.Refresh),
			EventsPerSecond: row.EventsPerSecond,
			Layout:          bpf.Layout,
			Netns:           row.NetNS,
			Build:           row.Build,
		})
	}), "put", "settings")
}

// secret is what the settings have for it, or a new one. It is as old as the tables: programs that are replaced by
// others leave packets to them.
func (s *store) secret() (uint64, error) {
	old, err := s.settings.get(0)
	if err != nil || old.Secret != 0 {
		return old.Secret, err
	}
	var b [8]byte
	rand.Read(b[:]) // does not fail
	return binary.NativeEndian.Uint64(b[:]) | 1, nil
}

// Get returns the settings. While they were never put: [ErrNotFound].
func (t *SettingsTable) Get() (row Settings, err error) {
	err = t.s.look(func() error {
		w, err := t.s.settings.get(0)
		if err != nil {
			return err
		}
		switch w.Layout {
		case 0:
			return ErrNotFound
		case bpf.Layout:
		default:
			return fmt.Errorf("%w: layout %d, not %d", bpf.ErrABI, w.Layout, bpf.Layout)
		}
		row = Settings{
			FIBIfindex:      int(w.FibIfindex),
			Port:            w.Port,
			OptionClass:     w.OptionClass,
			DirectAge:       time.Duration(w.DirectAgeNs),
			PathAge:         time.Duration(w.PathAgeNs),
			Refresh:         time.Duration(w.RefreshNs),
			EventsPerSecond: w.EventsPerSecond,
			NetNS:           w.Netns,
			Build:           w.Build,
		}
		return nil
	})
	return row, naming(err, "get", "settings")
}

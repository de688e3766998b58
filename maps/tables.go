// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"

	"github.com/mizar-go/mizar/bpf"
)

// Tables are the typed tables of one data-plane.
type Tables struct {
	Settings  *SettingsTable // what every packet depends on
	Droplets  *Droplets      // interfaces on the underlay
	Agents    *Agents        // host-side interfaces of endpoints
	Endpoints *Endpoints     // where each address of a VPC lives
	Networks  *Networks      // prefixes of a VPC
	VPCs      *VPCs          // tenants
	Peers     *Peers         // who may send us tunnel packets
	Directs   *Directs       // learned hosts of endpoints
	Paths     *Paths         // learned path MTUs
	Chains    *Chains        // functions in the pipeline
	Reasons   *Reasons       // names of their reasons to drop
	Restore   *Restore       // interfaces as they were found
	Counters  *Counters      // packets by verdict and reason
	Traffic   *TrafficTable  // packets by endpoint and droplet
	Events    *Events        // sampled drops

	s *store
}

func newTables(t *bpf.Tables, readOnly bool) *Tables {
	s := newStore(t, readOnly)
	return &Tables{
		Settings:  &SettingsTable{s},
		Droplets:  &Droplets{s},
		Agents:    &Agents{s},
		Endpoints: &Endpoints{s},
		Networks:  &Networks{s},
		VPCs:      &VPCs{s},
		Peers:     &Peers{s},
		Directs:   &Directs{s},
		Paths:     &Paths{s},
		Chains:    &Chains{s},
		Reasons:   &Reasons{s},
		Restore:   &Restore{s},
		Counters:  &Counters{s},
		Traffic:   &TrafficTable{s},
		Events:    &Events{s: s},
		s:         s,
	}
}

// Open makes the tables usable: it reads what rows refer to, and mends what a writer left that was
// killed. There may be one writer at a time. The maps stay the caller's to close, after [Tables.Close].
func Open(t *bpf.Tables) (*Tables, error) {
	tables := newTables(t, false)
	if err := tables.s.load(); err != nil {
		return nil, fmt.Errorf("open tables: %w", err)
	}
	if err := errors.Join(tables.s.mend(), tables.s.nextEpoch()); err != nil {
		return nil, fmt.Errorf("mend tables: %w", err)
	}
	return tables, nil
}

// OpenReadOnly opens tables that another process may be writing. Everything that would write gives
// [ErrReadOnly], also reading events, which takes them away. A peer or network that is deleted while they are
// read may be shown with what is known of a shorter prefix.
func OpenReadOnly(t *bpf.Tables) (*Tables, error) {
	return newTables(t, true), nil
}

// Close frees what is out of use, ends the reading of events, and ends the use of the tables: afterwards
// every call gives [ErrClosed]. Rows stay. The maps below are not closed. It may be called again.
func (t *Tables) Close() error {
	if err := errors.Join(t.s.close(), t.Events.close()); err != nil {
		return fmt.Errorf("close tables: %w", err)
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package maps

import "github.com/mizar-go/mizar/bpf"

// Traffic counts an endpoint's or a droplet's packets, over all CPUs. One that was merged of many counts once.
type Traffic struct {
	RxPackets uint64 // droplet: tunnel packets taken; endpoint: delivered to it
	RxBytes   uint64 // of their frames: a droplet's with the tunnel's headers, an endpoint's without
	TxPackets uint64 // droplet: tunnel packets sent; endpoint: accepted from it
	TxBytes   uint64 // likewise
}

// TrafficTable counts packets in slots, which rows of Agents and Droplets name.
type TrafficTable struct{ s *store }

// Get returns the counts of a slot, from when its owner got it. Slot 0 is nobody's: [ErrNotFound].
func (t *TrafficTable) Get(slot uint32) (sum Traffic, err error) {
	err = t.s.look(func() error {
		m := t.s.maps.Traffic
		if slot == 0 || slot >= m.MaxEntries() {
			return ErrNotFound
		}
		var cpus []bpf.TableTraffic
		if err := m.Lookup(slot, &cpus); err != nil {
			return explain(err)
		}
		for _, c := range cpus {
			sum.RxPackets += c.RxPackets
			sum.RxBytes += c.RxBytes
			sum.TxPackets += c.TxPackets
			sum.TxBytes += c.TxBytes
		}
		return nil
	})
	return sum, naming(err, "get traffic slot", slot)
}

// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"cmp"
	"errors"
	"iter"
	"net"
	"net/netip"

	"github.com/mizar-go/mizar/bpf"
)

// Agent is the host-side interface of an endpoint.
type Agent struct {
	Ifindex   int              // the kernel's number of it, never 0
	VNI       uint32           // 1 to 1<<24 - 1
	MAC       net.HardwareAddr // the workload's
	MTU       int              // of the workload's interface, bytes, 68 to 65535
	PeerNetNS bool             // a veth whose peer is in another namespace, to which packets can go at once
	XDP       bool             // the agent runs in XDP here
	// Allowed is what it may send from beside its own addresses, masked. One of IPv6 that takes in
	// ::ffff:0:0/96, such as ::/0, allows all of IPv4: it is invalid without 0.0.0.0/0.
	Allowed []netip.Prefix
	Traffic uint32 // slot in Traffic; zero: the one it has, or a free one
	Cookie  uint64 // the caller's
}

func (a Agent) validate() error {
	return cmp.Or(checkIfindex(a.Ifindex), checkVNI(a.VNI), checkMAC(a.MAC), checkMTU(a.MTU),
		checkAllowed(a.Allowed))
}

func (a Agent) toWire() bpf.TableAgent {
	w := bpf.TableAgent{Vni: a.VNI, Mac: macToWire(a.MAC), Mtu: uint16(a.MTU), Traffic: a.Traffic, Cookie: a.Cookie}
	for flag, set := range map[bpf.TableAgentFlags]bool{
		bpf.TableAgentFlagsAGENT_PEER:    a.PeerNetNS,
		bpf.TableAgentFlagsAGENT_ALLOWED: len(a.Allowed) > 0,
		bpf.TableAgentFlagsAGENT_XDP:     a.XDP,
	} {
		if set {
			w.Flags |= flag
		}
	}
	return w
}

func agentFromWire(ifindex uint32, w bpf.TableAgent, allowed []netip.Prefix) Agent {
	return Agent{
		Ifindex:   int(ifindex),
		VNI:       w.Vni,
		MAC:       macFromWire(w.Mac),
		MTU:       int(w.Mtu),
		PeerNetNS: w.Flags&bpf.TableAgentFlagsAGENT_PEER != 0,
		XDP:       w.Flags&bpf.TableAgentFlagsAGENT_XDP != 0,
		Allowed:   allowed,
		Traffic:   w.Traffic,
		Cookie:    w.Cookie,
	}
}

// Agents are the host-side interfaces of endpoints. What comes from an interface that has no row here is
// dropped, and nothing is delivered to it.
type Agents struct{ s *store }

// Put adds an agent, or replaces it. On failure everything is as it was. Functions of an endpoint go where its
// interface becomes one of another VPC.
func (t *Agents) Put(row Agent) error {
	return naming(t.s.change(func() (err error) {
		if err := row.validate(); err != nil {
			return err
		}
		s, key := t.s, uint32(row.Ifindex)
		old, err := s.agents.get(key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		fresh := err != nil
		var back undo
		defer func() { back.unless(&err) }()
		if row.Traffic, err = s.slots.assign(row.Traffic, old.Traffic); err != nil {
			return err
		}
		if row.Traffic != old.Traffic {
			back.add(func() error { s.slots.free(row.Traffic); return nil })
		}
		// Allowed before the row that sends programs there, and no longer after it.
		if err := s.allowMore(row.Ifindex, row.Allowed, &back); err != nil {
			return err
		}
		if err := s.agents.put(key, row.toWire()); err != nil {
			return err
		}
		back.add(func() error {
			if fresh {
				return s.agents.delete(key)
			}
			return s.agents.put(key, old)
		})
		if err := s.allowOnly(row.Ifindex, row.Allowed, &back); err != nil {
			return err
		}
		if !fresh && old.Vni != row.VNI {
			if err := s.dropChains(key); err != nil {
				return err
			}
		}
		if row.Traffic != old.Traffic {
			s.slots.free(old.Traffic)
		}
		return nil
	}), "put agent", row.Ifindex)
}

// Delete removes an agent, and what it was allowed.
func (t *Agents) Delete(ifindex int) error {
	return naming(t.s.change(func() (err error) {
		if err := checkIfindex(ifindex); err != nil {
			return err
		}
		s, key := t.s, uint32(ifindex)
		old, err := s.agents.get(key)
		if err != nil {
			return err
		}
		var back undo
		defer func() { back.unless(&err) }()
		if err := s.agents.delete(key); err != nil {
			return err
		}
		back.add(func() error { return s.agents.put(key, old) })
		if err := s.allowOnly(ifindex, nil, &back); err != nil {
			return err
		}
		if err := s.dropChains(key); err != nil {
			return err
		}
		s.slots.free(old.Traffic)
		return nil
	}), "delete agent", ifindex)
}

// Get returns an agent, its allowed prefixes sorted.
func (t *Agents) Get(ifindex int) (a Agent, err error) {
	err = t.s.look(func() error {
		if err := checkIfindex(ifindex); err != nil {
			return err
		}
		w, err := t.s.agents.get(uint32(ifindex))
		if err != nil {
			return err
		}
		allowed, err := t.s.allAllowed()
		if err == nil {
			a = agentFromWire(uint32(ifindex), w, clonePrefixes(allowed[ifindex]))
		}
		return err
	})
	return a, naming(err, "get agent", ifindex)
}

// All iterates over the agents.
func (t *Agents) All() iter.Seq2[Agent, error] {
	return func(yield func(Agent, error) bool) {
		var read map[int][]netip.Prefix // by a reader, once
		allRows(t.s, "agents", t.s.agents, func(ifindex uint32, w bpf.TableAgent) (Agent, error) {
			if read == nil || !t.s.readOnly {
				var err error
				if read, err = t.s.allAllowed(); err != nil {
					return Agent{}, err
				}
			}
			return agentFromWire(ifindex, w, clonePrefixes(read[int(ifindex)])), nil
		})(yield)
	}
}

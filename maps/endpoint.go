// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"

	"github.com/mizar-go/mizar/bpf"
)

// Endpoint is where an address of a VPC lives: elsewhere (Host is set) or here (Ifindex is).
type Endpoint struct {
	VNI     uint32           // 1 to 1<<24 - 1
	Addr    netip.Addr       // in the VPC
	Host    netip.Addr       // underlay address of its host; zero: it is local
	Ifindex int              // its host-side interface, which has a row in Agents; 0: it is not local
	MAC     net.HardwareAddr // what a sender writes; zero: one that every host's delivery replaces
	// Function: it takes tunnel packets as they are, outer headers and options included. Of one elsewhere only its
	// host has to know.
	Function bool
	Cookie   uint64 // the caller's
}

// EndpointKey names an endpoint's address.
type EndpointKey struct {
	VNI  uint32     // 1 to 1<<24 - 1
	Addr netip.Addr // in the VPC, without zone, IPv4 not as IPv6
}

// Key is the endpoint's name.
func (e Endpoint) Key() EndpointKey { return EndpointKey{e.VNI, e.Addr} }

// String is VNI/address.
func (k EndpointKey) String() string { return fmt.Sprintf("%d/%v", k.VNI, k.Addr) }

func (k EndpointKey) validate() error {
	if err := checkVNI(k.VNI); err != nil {
		return err
	}
	return checkAddr("address", k.Addr)
}

func (e Endpoint) validate() error {
	if err := e.Key().validate(); err != nil {
		return err
	}
	if e.Host.IsValid() == (e.Ifindex != 0) {
		return invalid("an endpoint has either a host or an interface")
	}
	if e.Host.IsValid() {
		if err := checkAddr("host", e.Host); err != nil {
			return err
		}
	} else if err := checkIfindex(e.Ifindex); err != nil {
		return err
	}
	return checkMACOrNone(e.MAC)
}

func (e Endpoint) toWire() bpf.TableEndpoint {
	kind := bpf.TableEndpointKindENDPOINT_SIMPLE
	if e.Function {
		kind = bpf.TableEndpointKindENDPOINT_FUNCTION
	}
	return bpf.TableEndpoint{
		Kind:    kind,
		Mac:     macToWire(e.MAC),
		Ifindex: uint32(e.Ifindex),
		Host:    toWire(e.Host),
		Cookie:  e.Cookie,
	}
}

func endpointFromWire(k bpf.TableEndpointKey, v bpf.TableEndpoint) (Endpoint, error) {
	key := fromEndpointKey(k)
	return Endpoint{
		VNI:      key.VNI,
		Addr:     key.Addr,
		Host:     fromWire(v.Host),
		Ifindex:  int(v.Ifindex),
		MAC:      macFromWire(v.Mac),
		Function: v.Kind == bpf.TableEndpointKindENDPOINT_FUNCTION,
		Cookie:   v.Cookie,
	}, nil
}

// Endpoints say where each address of a VPC lives, as far as this host has to know. What packets taught
// of an address is forgotten whenever its row changes.
type Endpoints struct{ s *store }

// Put adds an endpoint, or replaces it.
func (t *Endpoints) Put(row Endpoint) error {
	return naming(t.putAll([]Endpoint{row}, ignore), "put endpoint", row.Key())
}

// Insert adds an endpoint whose key is not there yet: else [ErrExists], and nothing changes.
func (t *Endpoints) Insert(row Endpoint) error {
	err := row.validate()
	if err == nil {
		err = t.s.change(func() error {
			k := toEndpointKey(row.Key())
			if err := t.s.endpoints.insert(k, row.toWire()); err != nil {
				return err
			}
			return t.s.outdate([]bpf.TableEndpointKey{k})
		})
	}
	return naming(err, "insert endpoint", row.Key())
}

// PutAll is Put for many. If a row is invalid, nothing is written. Otherwise rows are written in order up
// to the first that fails, and stay. With more than 4096 rows at once, packets under way to a configured
// host where an endpoint was are lost if that host returns them.
func (t *Endpoints) PutAll(rows []Endpoint) error { return t.PutAllFunc(rows, ignore) }

// PutAllFunc is PutAll that calls f after every few thousand rows, and after the last, with how many are written. It
// stops at f's error, which it gives. No other change of the tables is made before f returns.
func (t *Endpoints) PutAllFunc(rows []Endpoint, f func(done int) error) error {
	return naming(t.putAll(rows, f), "put", "endpoints")
}

func ignore(int) error { return nil }

func (t *Endpoints) putAll(rows []Endpoint, f func(done int) error) error {
	keys, values := make([]bpf.TableEndpointKey, len(rows)), make([]bpf.TableEndpoint, len(rows))
	for i, r := range rows {
		if err := r.validate(); err != nil {
			return of(err, len(rows), r.Key())
		}
		keys[i], values[i] = toEndpointKey(r.Key()), r.toWire()
	}
	return t.s.change(func() error {
		if err := t.s.expectReturns(keys, values); err != nil {
			return err
		}
		var refused error
		done, err := t.s.endpoints.putAllFunc(keys, values, func(done int) error {
			refused = f(done)
			return refused
		})
		if err != nil && refused == nil {
			err = of(err, len(rows), rows[done].Key())
		}
		// With a row there, nothing is learned any more: what is found now is all.
		return progress(errors.Join(err, t.s.outdate(keys[:done])), done, len(rows))
	})
}

// Get returns an endpoint.
func (t *Endpoints) Get(key EndpointKey) (e Endpoint, err error) {
	err = t.s.look(func() error {
		if err := key.validate(); err != nil {
			return err
		}
		k := toEndpointKey(key)
		row, err := t.s.endpoints.get(k)
		if err == nil {
			e, err = endpointFromWire(k, row)
		}
		return err
	})
	return e, naming(err, "get endpoint", key)
}

// Delete removes an endpoint.
func (t *Endpoints) Delete(key EndpointKey) error {
	return naming(t.deleteAll([]EndpointKey{key}), "delete endpoint", key)
}

// DeleteAll is Delete for many. It deletes all that are there; if one was not, the error is [ErrNotFound].
func (t *Endpoints) DeleteAll(keys []EndpointKey) error {
	return naming(t.deleteAll(keys), "delete", "endpoints")
}

func (t *Endpoints) deleteAll(keys []EndpointKey) error {
	for _, k := range keys {
		if err := k.validate(); err != nil {
			return of(err, len(keys), k)
		}
	}
	keys = lastOf(keys, func(k EndpointKey) EndpointKey { return k })
	wire := make([]bpf.TableEndpointKey, len(keys))
	for i, k := range keys {
		wire[i] = toEndpointKey(k)
	}
	return t.s.change(func() error {
		var gone absent
		err := t.s.endpoints.deleteAll(wire, func(i int) { gone.note(keys[i]) })
		// Also of those that were not there.
		if err := errors.Join(err, t.s.forget(wire)); err != nil {
			return err
		}
		return gone.err(len(keys))
	})
}

// All iterates over the endpoints.
func (t *Endpoints) All() iter.Seq2[Endpoint, error] {
	return allRows(t.s, "endpoints", t.s.endpoints, endpointFromWire)
}

// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"cmp"
	"errors"
	"iter"
	"net"
	"net/netip"
	"slices"

	"github.com/mizar-go/mizar/bpf"
)

// Droplet is an interface on the underlay.
type Droplet struct {
	Ifindex int // the kernel's number of it, never 0
	// Addrs are its own addresses, at least one. The first of each family is the source of what is sent
	// by it, and may be another droplet's, too. The others may not: that is [ErrExists].
	Addrs   []netip.Addr
	MAC     net.HardwareAddr // of the interface; zero where it has none
	MTU     int              // of the interface, bytes, 68 to 65535
	XDP     bool             // transit runs in XDP here
	TX      bool             // the driver sends what XDP_TX gives it without waiting for more; veth does not
	Traffic uint32           // slot in Traffic; zero: the one it has, or a free one
	Cookie  uint64           // the caller's
}

func (d Droplet) validate() error {
	if len(d.Addrs) == 0 {
		return invalid("a droplet has at least one address")
	}
	for i, a := range d.Addrs {
		if err := checkAddr("address", a); err != nil {
			return err
		}
		if slices.Contains(d.Addrs[:i], a) {
			return invalid("address %v is there twice", a)
		}
	}
	return cmp.Or(checkIfindex(d.Ifindex), checkMACOrNone(d.MAC), checkMTU(d.MTU))
}

func (d Droplet) toWire() bpf.TableDroplet {
	w := bpf.TableDroplet{Mac: macToWire(d.MAC), Mtu: uint16(d.MTU), Traffic: d.Traffic, Cookie: d.Cookie}
	if d.XDP {
		w.Flags |= bpf.TableDropletFlagsDROPLET_XDP
	}
	if d.TX {
		w.Flags |= bpf.TableDropletFlagsDROPLET_TX
	}
	for _, a := range slices.Backward(d.Addrs) {
		if a.Is4() {
			w.Source4 = toWire(a)
		} else {
			w.Source6 = toWire(a)
		}
	}
	return w
}

// dropletFromWire has the sources first, then the other addresses, sorted.
func dropletFromWire(ifindex uint32, w bpf.TableDroplet, own ownAddrs) Droplet {
	d := Droplet{
		Ifindex: int(ifindex),
		MAC:     macFromWire(w.Mac),
		MTU:     int(w.Mtu),
		XDP:     w.Flags&bpf.TableDropletFlagsDROPLET_XDP != 0,
		TX:      w.Flags&bpf.TableDropletFlagsDROPLET_TX != 0,
		Traffic: w.Traffic,
		Cookie:  w.Cookie,
	}
	for _, a := range append([]bpf.TableAddress{w.Source4, w.Source6}, own.of(ifindex)...) {
		if a := fromWire(a); a.IsValid() && !slices.Contains(d.Addrs, a) {
			d.Addrs = append(d.Addrs, a)
		}
	}
	return d
}

// Droplets are the interfaces on the underlay. Their addresses say which bouncers and dividers are this
// host: what a row of VPCs or Networks means by them follows.
type Droplets struct{ s *store }

// Put adds a droplet, or replaces it. On failure everything is as it was.
func (t *Droplets) Put(row Droplet) error {
	return naming(t.s.change(func() (err error) {
		if err := row.validate(); err != nil {
			return err
		}
		s, key, want := t.s, uint32(row.Ifindex), toWireAll(row.Addrs)
		if err := s.checkShared(key, row); err != nil {
			return err
		}
		old, err := s.droplets.get(key)
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
		// Known as ours before anything is sent from them.
		if err := s.ownMore(key, want, &back); err != nil {
			return err
		}
		if err := s.droplets.put(key, row.toWire()); err != nil {
			return err
		}
		back.add(func() error {
			if fresh {
				return s.droplets.delete(key)
			}
			return s.droplets.put(key, old)
		})
		if err := s.ownOnly(key, want, &back); err != nil {
			return err
		}
		if err := s.remark(); err != nil {
			return err
		}
		if row.Traffic != old.Traffic {
			s.slots.free(old.Traffic)
		}
		s.sets.tidy()
		return nil
	}), "put droplet", row.Ifindex)
}

// Delete removes a droplet and its addresses.
func (t *Droplets) Delete(ifindex int) error {
	return naming(t.s.change(func() (err error) {
		if err := checkIfindex(ifindex); err != nil {
			return err
		}
		s, key := t.s, uint32(ifindex)
		old, err := s.droplets.get(key)
		if err != nil {
			return err
		}
		var back undo
		defer func() { back.unless(&err) }()
		if err := s.droplets.delete(key); err != nil {
			return err
		}
		back.add(func() error { return s.droplets.put(key, old) })
		if err := s.ownOnly(key, nil, &back); err != nil {
			return err
		}
		if err := s.remark(); err != nil {
			return err
		}
		s.slots.free(old.Traffic)
		s.sets.tidy()
		return nil
	}), "delete droplet", ifindex)
}

// Get returns a droplet: the addresses that it sends from first, the others sorted.
func (t *Droplets) Get(ifindex int) (d Droplet, err error) {
	err = t.s.look(func() error {
		if err := checkIfindex(ifindex); err != nil {
			return err
		}
		w, err := t.s.droplets.get(uint32(ifindex))
		if err == nil {
			d, err = t.convert(uint32(ifindex), w)
		}
		return err
	})
	return d, naming(err, "get droplet", ifindex)
}

func (t *Droplets) convert(ifindex uint32, w bpf.TableDroplet) (Droplet, error) {
	own, err := t.s.allOwn()
	if err != nil {
		return Droplet{}, err
	}
	return dropletFromWire(ifindex, w, own), nil
}

// All iterates over the droplets.
func (t *Droplets) All() iter.Seq2[Droplet, error] {
	return allRows(t.s, "droplets", t.s.droplets, t.convert)
}

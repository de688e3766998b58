// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"iter"
	"net/netip"
	"time"

	"github.com/mizar-go/mizar/bpf"
)

// Path is what is known of the way to a host.
type Path struct {
	Host    netip.Addr    // on the underlay
	MTU     int           // bytes; 0: nothing was learned, or it expired
	Expires time.Duration // from now, of the MTU; 0 where there is none
}

// Paths are what packets taught of the ways to hosts. In XDP modes every host that is sent to is there.
type Paths struct{ s *store }

// Get returns what is known of the way to a host.
func (t *Paths) Get(host netip.Addr) (p Path, err error) {
	err = t.s.look(func() error {
		if err := checkAddr("host", host); err != nil {
			return err
		}
		row, err := t.s.paths.get(toWire(host))
		if err == nil {
			p, err = t.convert(toWire(host), row)
		}
		return err
	})
	return p, naming(err, "get path to", host)
}

func (t *Paths) convert(k bpf.TableAddress, row bpf.TablePath) (Path, error) {
	now, err := monotonic()
	if err != nil {
		return Path{}, err
	}
	p := Path{Host: fromWire(k)}
	if left := time.Duration(row.Expires) - now; row.Mtu != 0 && left > 0 {
		p.MTU, p.Expires = int(row.Mtu), left
	}
	return p, nil
}

// Delete forgets what is known of the way to a host.
func (t *Paths) Delete(host netip.Addr) error {
	return naming(t.s.change(func() error {
		if err := checkAddr("host", host); err != nil {
			return err
		}
		return t.s.paths.delete(toWire(host))
	}), "forget path to", host)
}

// All iterates over the paths.
func (t *Paths) All() iter.Seq2[Path, error] {
	return allRows(t.s, "paths", t.s.paths, t.convert)
}

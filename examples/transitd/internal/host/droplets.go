// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/plumb"
)

func droplets(dp *dataplane.Dataplane, p *plumb.Plumber) kind {
	attach := func(ctx context.Context, want *pb.Droplet) (*pb.Droplet, error) {
		c, err := toDroplet(want)
		if err != nil {
			return nil, err
		}
		d, err := dp.Droplet.Attach(ctx, c)
		if err != nil {
			return nil, err
		}
		return withStatus(want, fromDroplet(d)), nil
	}
	return &spec[*pb.Droplet]{
		kind:  pb.Kind_KIND_DROPLET,
		key:   (*pb.Droplet).GetInterface,
		check: func(d *pb.Droplet) error { _, err := toDroplet(d); return err },
		get: func(ctx context.Context, d *pb.Droplet) (*pb.Droplet, error) {
			got, err := dp.Droplet.Get(ctx, d.Interface)
			if err != nil {
				return nil, err
			}
			return fromDroplet(got), nil
		},
		list: func(ctx context.Context) iter.Seq2[*pb.Droplet, error] {
			return mapped(dp.Droplet.List(ctx), fromDroplet)
		},
		put: func(ctx context.Context, want, there *pb.Droplet) (*pb.Droplet, error) {
			if there == nil {
				return attach(ctx, want)
			}
			if !reattached(want, there) {
				c, err := toDroplet(want)
				if err != nil {
					return nil, err
				}
				d, err := dp.Droplet.Update(ctx, c)
				if err != nil {
					return nil, err
				}
				return withStatus(want, fromDroplet(d)), nil
			}
			if err := dp.Droplet.Detach(ctx, there.Interface); err != nil {
				return nil, err
			}
			got, err := attach(ctx, want)
			if err != nil && !there.GetStatus().GetGone() {
				_, back := attach(ctx, there)
				err = errors.Join(err, back)
			}
			return got, err
		},
		ready: func(_ context.Context, want, _ *pb.Droplet) error { // by an alternative name it would not be found again
			_, err := p.Exists(want.Interface)
			return err
		},
		remove: func(ctx context.Context, d *pb.Droplet) error { return dp.Droplet.Detach(ctx, d.Interface) },
		fits:   func(_ context.Context, want, have *pb.Droplet) bool { return dropletFits(want, have) },
		hidden: true, // whether addresses were asked for, or found
		broken: func(d *pb.Droplet) string { return wreck(d.Status.GetGone(), d.Status.GetPartial()) },
		lacks:  func(_ context.Context, d *pb.Droplet) string { return outdated(p, d) },
		gap:    func(want, have, _ *pb.Droplet) bool { return reattached(want, have) },
		of:     func(s *pb.State) *[]*pb.Droplet { return &s.Droplets },
		phase:  func(*pb.Droplet) int { return phaseDroplet },
	}
}

// reattached tells whether a droplet has to be attached anew to be as it is wanted.
func reattached(want, there *pb.Droplet) bool {
	st := there.GetStatus()
	return st.GetGone() || st.GetPartial() || want.Mode != pb.Mode_MODE_UNSPECIFIED && want.Mode != st.GetMode()
}

// wreck says what is wrong with an interface of ours.
func wreck(gone, partial bool) string {
	switch {
	case gone:
		return "its interface is gone"
	case partial:
		return "a program or a row of it is missing"
	}
	return ""
}

// outdated tells what has become of a droplet's interface since it was attached, of which nobody told the data-plane:
// another MTU; or another address than the one that packets leave from, unless that was asked for. While it has none at
// all, it may come back.
func outdated(p *plumb.Plumber, d *pb.Droplet) string {
	now, err := p.Interface(d.Interface)
	if err != nil {
		return ""
	}
	if was := int(d.Status.GetMtu()); min(now.MTU, mostDropletMTU) != was {
		return fmt.Sprintf("its interface's MTU is %d, not %d", now.MTU, was)
	}
	if len(d.Addresses) > 0 {
		return ""
	}
	for _, text := range sources(d.Status.GetAddresses()) {
		was, err := netip.ParseAddr(text)
		if err != nil || slices.Contains(now.Addrs, was) {
			continue
		}
		if slices.ContainsFunc(now.Addrs, func(a netip.Addr) bool { return a.IsGlobalUnicast() && a.Is4() == was.Is4() }) {
			return "its interface has another address than " + text
		}
	}
	return ""
}

// mostDropletMTU is what the library takes of a larger one.
const mostDropletMTU = 65535

// dropletFits leaves open what was left open.
func dropletFits(want, have *pb.Droplet) bool {
	st := have.Status
	if want.Cookie != have.Cookie || want.Mode != pb.Mode_MODE_UNSPECIFIED && want.Mode != st.GetMode() {
		return false
	}
	return len(want.Addresses) == 0 || slices.Equal(sources(want.Addresses), sources(st.GetAddresses())) &&
		slices.Equal(slices.Sorted(slices.Values(want.Addresses)), slices.Sorted(slices.Values(st.GetAddresses())))
}

// sources are the addresses that packets leave from: the first of each family.
func sources(addrs []string) []string {
	v4, v6 := "", ""
	for _, text := range addrs {
		a, err := netip.ParseAddr(text)
		switch {
		case err != nil:
		case a.Is4() && v4 == "":
			v4 = text
		case a.Is6() && v6 == "":
			v6 = text
		}
	}
	return []string{v4, v6}
}

func toDroplet(d *pb.Droplet) (droplet.Config, error) {
	var r reader
	r.ifname("interface", d.Interface)
	c := droplet.Config{Interface: d.Interface, Mode: r.mode("mode", d.Mode, true), Cookie: d.Cookie}
	seen := make(map[netip.Addr]bool)
	for i := range d.Addresses {
		a := r.addr("addresses", &d.Addresses[i])
		if seen[a] {
			r.fail(wrong("addresses", "%s is there twice", a))
		}
		seen[a] = true
		c.Addrs = append(c.Addrs, a)
	}
	return c, r.err
}

func fromDroplet(d *droplet.Droplet) *pb.Droplet {
	return &pb.Droplet{
		Interface: d.Interface, Mode: fromMode(d.Mode), Addresses: texts(d.Addrs), Cookie: d.Cookie,
		Status: &pb.DropletStatus{
			Ifindex: uint32(d.Ifindex), Mode: fromMode(d.Mode), Why: d.Why, Addresses: texts(d.Addrs), Mac: d.MAC.String(),
			Mtu: uint32(d.MTU), Gone: d.Gone, Partial: d.Partial,
		},
	}
}

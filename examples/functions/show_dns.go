// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"

	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/maps"
)

// Addresses of the name server in the VPC. Its namespace has neither.
var nameServer = []netip.Prefix{netip.MustParsePrefix("10.0.0.53/24"), netip.MustParsePrefix("2001:db8::53/64")}

// showDNS has endpoints of both hosts ask a name server that is a function on host A.
func showDNS(ctx context.Context, w *world, out io.Writer) (err error) {
	fmt.Fprintf(out, "dns: a function of user space on A answers, by AF_XDP\n")
	d, end, err := w.nameServer(ctx)
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	zone := map[string][]netip.Addr{
		"a1.example.": {w.a1.v4, w.a1.v6},
		"b1.example.": {w.b1.v4},
	}
	d.Serve(zone)
	for _, q := range []struct {
		who    string
		from   *workload
		server netip.Addr
		name   string
	}{
		{"a1", w.a1, nameServer[0].Addr(), "b1.example."},
		{"b1", w.b1, nameServer[0].Addr(), "a1.example."},
		{"b1", w.b1, nameServer[1].Addr(), "a1.example."},
		{"b1", w.b1, nameServer[0].Addr(), "nobody.example."},
	} {
		got, err := lookUp(ctx, q.from.Namespace, q.server, q.name)
		var none *net.DNSError
		switch known, ok := zone[q.name]; {
		case !ok && errors.As(err, &none) && none.IsNotFound:
			fmt.Fprintf(out, "  %-30s no such name\n", q.who+": "+q.name)
		case err != nil:
			return err
		case !ok || !slices.Equal(got, known):
			return fmt.Errorf("%s is said to be %v, and is %v", q.name, got, known)
		default:
			fmt.Fprintf(out, "  %-30s %v, says %v\n", q.who+": "+q.name, got, q.server)
		}
	}
	answered, refused := d.Counts()
	if refused != 0 {
		return fmt.Errorf("%d packets were no queries", refused)
	}
	fmt.Fprintf(out, "  %-30s %d queries answered\n", "", answered)
	return nil
}

// nameServer makes an endpoint for it on host A, tells host B, and starts it. Also when it fails, end is to be called.
func (w *world) nameServer(ctx context.Context) (d *DNS, end func() error, err error) {
	var undo []func() error
	end = func() (err error) {
		for _, f := range slices.Backward(undo) {
			err = errors.Join(err, f())
		}
		return err
	}
	ns, err := lab.NewNamespace("dns")
	if err != nil {
		return nil, end, err
	}
	undo = append(undo, ns.Close)
	ep, err := w.a.dp.Endpoint.Create(ctx, endpoint.Config{
		VNI: vni, Addrs: nameServer, Function: true,
		NetNS: endpoint.Path(ns.Path()), Interface: device, Mode: w.mode,
	})
	if err != nil {
		return nil, end, err
	}
	undo = append(undo, func() error { return w.a.dp.Endpoint.Delete(context.WithoutCancel(ctx), ep.HostInterface) })
	for _, a := range ep.Addrs {
		row := maps.Endpoint{VNI: vni, Addr: a, Host: w.a.Addr, Function: true}
		if err := w.b.dp.Endpoint.Add(ctx, row); err != nil {
			return nil, end, err
		}
		undo = append(undo, func() error { return w.b.dp.Endpoint.Remove(context.WithoutCancel(ctx), row.Key()) })
	}
	if d, err = NewDNS(ctx, ns.Path(), device); err != nil {
		return nil, end, err
	}
	undo = append(undo, d.Close)
	return d, end, nil
}

// lookUp asks a name server for all addresses of a name, IPv4 first.
func lookUp(ctx context.Context, from *lab.Namespace, server netip.Addr, name string) (all []netip.Addr, err error) {
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
		err = from.Do(func() (err error) {
			conn, err = new(net.Dialer).DialContext(ctx, "udp", netip.AddrPortFrom(server, 53).String())
			return err
		})
		return conn, err
	}}
	all, err = r.LookupNetIP(ctx, "ip", name)
	slices.SortFunc(all, netip.Addr.Compare)
	for i := range all {
		all[i] = all[i].Unmap()
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all, err
}

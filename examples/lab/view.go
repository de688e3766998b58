// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/maps"
)

// view is a host's data-plane as it is: its tables, and what it has counted.
type view struct {
	Host      string           `json:"host"`
	Namespace string           `json:"namespace"`
	Addresses []netip.Prefix   `json:"addresses"`
	Droplets  []interfaceView  `json:"droplets"`
	Peers     []netip.Prefix   `json:"peers"`
	VPCs      []vpcView        `json:"vpcs"`
	Networks  []networkView    `json:"networks"`
	Endpoints []endpointView   `json:"endpoints"`
	Local     []interfaceView  `json:"local"`
	Learned   []learnedView    `json:"learned"`
	Paths     []pathView       `json:"paths"`
	Counters  []counterView    `json:"counters"`
	names     map[int]string   // of interfaces
	modes     map[int]bpf.Mode // of interfaces
}

// interfaceView is a droplet, or an endpoint of the host.
type interfaceView struct {
	Interface string       `json:"interface"`
	VNI       uint32       `json:"vni,omitempty"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	Mode      string       `json:"mode"`
	MTU       int          `json:"mtu"`
	MAC       string       `json:"mac"`
	RxPackets uint64       `json:"rx_packets"`
	RxBytes   uint64       `json:"rx_bytes"`
	TxPackets uint64       `json:"tx_packets"`
	TxBytes   uint64       `json:"tx_bytes"`
}

type vpcView struct {
	VNI      uint32       `json:"vni"`
	Dividers []netip.Addr `json:"dividers"`
}

type networkView struct {
	VNI      uint32       `json:"vni"`
	Prefix   netip.Prefix `json:"prefix"`
	Bouncers []netip.Addr `json:"bouncers"`
}

// endpointView has either a host or an interface of this one.
type endpointView struct {
	VNI       uint32     `json:"vni"`
	Address   netip.Addr `json:"address"`
	Host      netip.Addr `json:"host,omitzero"`
	Interface string     `json:"interface,omitempty"`
}

type learnedView struct {
	VNI     uint32     `json:"vni"`
	Address netip.Addr `json:"address"`
	Host    netip.Addr `json:"host"`
	Idle    float64    `json:"idle_seconds"`
}

type pathView struct {
	Host netip.Addr `json:"host"`
	MTU  int        `json:"mtu"`
}

type counterView struct {
	Reason  string `json:"reason"`
	Drop    bool   `json:"drop"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// look reads all hosts. It locks and changes nothing.
func (p *plan) look(ctx context.Context) ([]*view, error) {
	var all []*view
	for _, h := range p.hosts {
		v := &view{Host: h.name, Namespace: p.namespace(h.name), Addresses: h.addrs,
			names: map[int]string{}, modes: map[int]bpf.Mode{}}
		if err := v.read(ctx); err != nil {
			return nil, fmt.Errorf("lab %s: host %s: %w", p.name, h.name, err)
		}
		all = append(all, v)
	}
	return all, nil
}

func (v *view) read(ctx context.Context) (err error) {
	dp, err := dataplane.Inspect(v.Namespace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dp.Close()) }()
	for i, err := range dp.Interfaces(ctx) {
		if err != nil {
			return err
		}
		v.names[i.Ifindex], v.modes[i.Ifindex] = i.Name, i.Mode
	}
	return errors.Join(v.readTables(ctx, dp), v.readInterfaces(ctx, dp), v.readCounts(ctx, dp))
}

func (v *view) readTables(ctx context.Context, dp *dataplane.View) error {
	return errors.Join(
		collect(&v.Peers, dp.Peers(ctx), func(p maps.Peer) netip.Prefix { return p.Prefix }),
		collect(&v.VPCs, dp.VPCs(ctx), func(c maps.VPC) vpcView { return vpcView{c.VNI, some(c.Dividers)} }),
		collect(&v.Networks, dp.Networks(ctx), func(n maps.Network) networkView {
			return networkView{n.VNI, n.Prefix, some(n.Bouncers)}
		}),
		collect(&v.Endpoints, dp.Endpoints(ctx), func(e maps.Endpoint) endpointView {
			return endpointView{e.VNI, e.Addr, e.Host, v.names[e.Ifindex]}
		}),
		collect(&v.Learned, dp.Directs(ctx), func(d maps.Direct) learnedView {
			return learnedView{d.VNI, d.Addr, d.Host, d.Idle.Round(time.Millisecond).Seconds()}
		}),
		collect(&v.Paths, dp.Paths(ctx), func(p maps.Path) pathView { return pathView{p.Host, p.MTU} }),
	)
}

// readInterfaces reads those of the host, without what they have carried.
func (v *view) readInterfaces(ctx context.Context, dp *dataplane.View) error {
	addrs := map[string][]netip.Addr{}
	for _, e := range v.Endpoints {
		if e.Interface != "" {
			addrs[e.Interface] = append(addrs[e.Interface], e.Address)
		}
	}
	return errors.Join(
		collect(&v.Droplets, dp.Droplets(ctx), func(d maps.Droplet) interfaceView {
			return interfaceView{Interface: v.names[d.Ifindex], Addresses: d.Addrs, Mode: v.modes[d.Ifindex].String(),
				MTU: d.MTU, MAC: d.MAC.String()}
		}),
		collect(&v.Local, dp.Agents(ctx), func(a maps.Agent) interfaceView {
			name := v.names[a.Ifindex]
			return interfaceView{Interface: name, VNI: a.VNI, Addresses: addrs[name], Mode: v.modes[a.Ifindex].String(),
				MTU: a.MTU, MAC: a.MAC.String()}
		}),
	)
}

func (v *view) readCounts(ctx context.Context, dp *dataplane.View) error {
	for _, counted := range []struct {
		rows iter.Seq2[dataplane.Traffic, error]
		to   []interfaceView
	}{
		{dp.Stats.Droplets(ctx), v.Droplets},
		{dp.Stats.Endpoints(ctx), v.Local},
	} {
		for t, err := range counted.rows {
			if err != nil {
				return err
			}
			for i := range counted.to {
				if to := &counted.to[i]; to.Interface == t.Interface {
					to.RxPackets, to.RxBytes, to.TxPackets, to.TxBytes = t.RxPackets, t.RxBytes, t.TxPackets, t.TxBytes
				}
			}
		}
	}
	return collect(&v.Counters, dp.Stats.Counters(ctx), func(c maps.Counter) counterView {
		return counterView{c.Name, c.Reason >= bpf.TableReasonREASON_DROP_FIRST, c.Packets, c.Bytes}
	})
}

// collect converts what a table yields.
func collect[From, To any](to *[]To, rows iter.Seq2[From, error], f func(From) To) error {
	*to = []To{} // in JSON, nothing is an empty list
	for row, err := range rows {
		if err != nil {
			return err
		}
		*to = append(*to, f(row))
	}
	return nil
}

// some is a list also where it is empty.
func some(addrs []netip.Addr) []netip.Addr {
	return append([]netip.Addr{}, addrs...)
}

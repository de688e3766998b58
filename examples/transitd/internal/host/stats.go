// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"iter"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

// Counters are the verdicts, and the reasons for drops.
func (h *Host) Counters(ctx context.Context) (*pb.ListCountersResponse, error) {
	r := &pb.ListCountersResponse{}
	for c, err := range h.dp.Stats.Counters(ctx) {
		if err != nil {
			return nil, err
		}
		r.Counters = append(r.Counters, &pb.Counter{
			Name: c.Name, Drop: c.Reason >= bpf.TableReasonREASON_DROP_FIRST, Packets: c.Packets, Bytes: c.Bytes,
		})
	}
	var err error
	r.EventsLost, err = h.dp.Stats.Lost(ctx)
	return r, err
}

// Traffic is what droplets and endpoints have carried; of a VPC, its endpoints.
func (h *Host) Traffic(ctx context.Context, vni uint32) (*pb.ListTrafficResponse, error) {
	r := &pb.ListTrafficResponse{}
	add := func(kind pb.Kind, all iter.Seq2[dataplane.Traffic, error]) error {
		for t, err := range all {
			if err != nil {
				return err
			}
			if vni == 0 || t.VNI == vni {
				r.Traffic = append(r.Traffic, &pb.Traffic{
					Kind: kind, Interface: t.Interface, Ifindex: uint32(t.Ifindex), Vni: t.VNI, Mac: t.MAC.String(), Cookie: t.Cookie,
					RxPackets: t.RxPackets, RxBytes: t.RxBytes, TxPackets: t.TxPackets, TxBytes: t.TxBytes,
				})
			}
		}
		return nil
	}
	return r, errors.Join(
		add(pb.Kind_KIND_DROPLET, h.dp.Stats.Droplets(ctx)), add(pb.Kind_KIND_LOCAL_ENDPOINT, h.dp.Stats.Endpoints(ctx)))
}

// Directs are learned hosts.
func (h *Host) Directs(ctx context.Context, vni uint32) iter.Seq2[*pb.Direct, error] {
	return viewed(ctx, h, (*dataplane.View).Directs, func(d maps.Direct) *pb.Direct {
		if vni != 0 && d.VNI != vni {
			return nil
		}
		return &pb.Direct{Vni: d.VNI, Address: d.Addr.String(), Host: d.Host.String(), Idle: durationpb.New(d.Idle)}
	})
}

// Paths are what is known of the ways to hosts.
func (h *Host) Paths(ctx context.Context) iter.Seq2[*pb.Path, error] {
	return viewed(ctx, h, (*dataplane.View).Paths, func(p maps.Path) *pb.Path {
		return &pb.Path{Host: p.Host.String(), Mtu: uint32(p.MTU), Expires: durationpb.New(p.Expires)}
	})
}

// viewed reads a table that has no manager; what f gives nil of is left out.
func viewed[From, To any](
	ctx context.Context, h *Host, rows func(*dataplane.View, context.Context) iter.Seq2[From, error], f func(From) *To,
) iter.Seq2[*To, error] {
	return func(yield func(*To, error) bool) {
		view, err := dataplane.InspectAt(h.options.Dataplane.BPFFS, h.dp.Name())
		if err != nil {
			yield(nil, err)
			return
		}
		defer view.Close()
		for row, err := range rows(view, ctx) {
			var to *To
			if err == nil {
				if to = f(row); to == nil {
					continue
				}
			}
			if !yield(to, err) {
				return
			}
		}
	}
}

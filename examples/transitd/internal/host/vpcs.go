// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"iter"
	"strconv"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

func vpcs(dp *dataplane.Dataplane) kind {
	return &spec[*pb.Vpc]{
		kind:  pb.Kind_KIND_VPC,
		key:   func(v *pb.Vpc) string { return strconv.FormatUint(uint64(v.GetVni()), 10) },
		check: func(v *pb.Vpc) error { _, err := toVPC(v); return err },
		get: func(ctx context.Context, v *pb.Vpc) (*pb.Vpc, error) {
			row, err := dp.VPC.Get(ctx, v.Vni)
			return fromVPC(row), err
		},
		list: func(ctx context.Context) iter.Seq2[*pb.Vpc, error] { return mapped(dp.VPC.List(ctx), fromVPC) },
		put: func(ctx context.Context, want, _ *pb.Vpc) (*pb.Vpc, error) {
			row, err := toVPC(want)
			if err != nil {
				return nil, err
			}
			return want, dp.VPC.Add(ctx, row)
		},
		remove: func(ctx context.Context, v *pb.Vpc) error { return dp.VPC.Remove(ctx, v.Vni) },
		fits:   fits[*pb.Vpc],
		of:     func(s *pb.State) *[]*pb.Vpc { return &s.Vpcs },
		phase:  func(*pb.Vpc) int { return phaseVPC },
	}
}

func toVPC(v *pb.Vpc) (maps.VPC, error) {
	var r reader
	r.vni("vni", v.Vni)
	row := maps.VPC{VNI: v.Vni, Dividers: r.hosts("dividers", v.Dividers), NoDirectPath: v.NoDirectPath, Cookie: v.Cookie}
	return row, r.err
}

func fromVPC(row maps.VPC) *pb.Vpc {
	v := &pb.Vpc{Vni: row.VNI, Dividers: texts(row.Dividers), NoDirectPath: row.NoDirectPath, Cookie: row.Cookie}
	var r reader
	r.hosts("dividers", v.Dividers) // in the order of what is checked
	return v
}

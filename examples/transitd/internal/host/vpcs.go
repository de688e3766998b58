// SPDX-License-Identifier: Apache-2.0

package host

import (
	"strconv"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

func vpcs(dp *dataplane.Dataplane) kind {
	return rows(&spec[*pb.Vpc]{
		kind:  pb.Kind_KIND_VPC,
		key:   func(v *pb.Vpc) string { return strconv.FormatUint(uint64(v.GetVni()), 10) },
		of:    func(s *pb.State) *[]*pb.Vpc { return &s.Vpcs },
		phase: func(*pb.Vpc) int { return phaseVPC },
	}, dp.VPC, toVPC, fromVPC, func(v *pb.Vpc) (uint32, error) { return v.Vni, nil })
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

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

func networks(dp *dataplane.Dataplane) kind {
	return rows(&spec[*pb.Network]{
		kind:  pb.Kind_KIND_NETWORK,
		key:   func(n *pb.Network) string { return pathKey(n.GetVni(), n.GetPrefix()) },
		of:    func(s *pb.State) *[]*pb.Network { return &s.Networks },
		phase: func(*pb.Network) int { return phaseNetwork },
	}, dp.Network, toNetwork, fromNetwork, networkKey)
}

func networkKey(n *pb.Network) (maps.NetworkKey, error) {
	var r reader
	r.vni("vni", n.Vni)
	key := maps.NetworkKey{VNI: n.Vni, Prefix: r.masked("prefix", &n.Prefix)}
	return key, r.err
}

func toNetwork(n *pb.Network) (maps.Network, error) {
	key, err := networkKey(n)
	if err != nil {
		return maps.Network{}, err
	}
	var r reader
	row := maps.Network{
		VNI: key.VNI, Prefix: key.Prefix, Bouncers: r.hosts("bouncers", n.Bouncers), Via: r.optional("via", &n.Via),
		Blackhole: n.Blackhole, NoDirectPath: n.NoDirectPath, Cookie: n.Cookie,
	}
	takers := 0
	for _, is := range []bool{len(row.Bouncers) > 0, row.Via.IsValid(), row.Blackhole} {
		if is {
			takers++
		}
	}
	if takers != 1 {
		r.fail(wrong("bouncers", "a network has exactly one of bouncers, via and blackhole"))
	}
	return row, r.err
}

func fromNetwork(row maps.Network) *pb.Network {
	n := &pb.Network{
		Vni: row.VNI, Prefix: row.Prefix.String(), Bouncers: texts(row.Bouncers), Via: text(row.Via), Blackhole: row.Blackhole,
		NoDirectPath: row.NoDirectPath, Cookie: row.Cookie,
	}
	var r reader
	r.hosts("bouncers", n.Bouncers)
	return n
}

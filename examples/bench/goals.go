// SPDX-License-Identifier: Apache-2.0

package main

// goal is a ratio, or a figure, to reach.
type goal struct {
	name          string
	figure        string
	of, to        string // contenders; no to: the figure itself counts
	mtu           int
	atLeast, aims float64 // at most, where aims is the less
}

// goals are those of this size of machine, on veth.
func goals() []goal {
	return []goal{
		{"tcx, TCP one stream, × kernel VXLAN", streamOne, tcx, vxlan, standardMTU, 1.0, 1.15},
		{"tcx, TCP one stream, × two bridges", streamOne, tcx, bridges, standardMTU, 0.95, 1.1},
		{"tcx, 64-byte packets, one CPU, × kernel VXLAN", packetsOne, tcx, vxlan, standardMTU, 1.5, 1.9},
		{"tcx, 64-byte packets, one CPU, × two bridges", packetsOne, tcx, bridges, standardMTU, 1.15, 1.3},
		{"tcx, 64-byte packets, one CPU, × one veth pair", packetsOne, tcx, onePair, standardMTU, 0.7, 0.8},
		{"tcx, round trip p50, one CPU, × kernel VXLAN", tripOne, tcx, vxlan, standardMTU, 0.85, 0.7},
		{"native XDP, 64-byte packets, one CPU, × kernel VXLAN", packetsOne, native, vxlan, standardMTU, 1.25, 1.5},
		{"native XDP, round trip p50, one CPU, × kernel VXLAN", tripOne, native, vxlan, standardMTU, 0.9, 0.75},
		{"native XDP, TCP one stream, × kernel VXLAN, MTU 1500", streamOne, native, vxlan, standardMTU, 0.4, 0.55},
		{"native XDP, TCP one stream, × kernel VXLAN, MTU 9000", streamOne, native, vxlan, jumboMTU, 0.8, 1.0},
		{"bouncer, packets a second, × XDP that swaps MACs", forwardRate, bouncing, swapper, 0, 0.8, 0.9},
		{"bouncer, packets a second, × kernel ip_forward", forwardRate, bouncing, kernelIP, 0, 1.45, 1.7},
		{"AddAll, endpoints a second", addRate, library, "", 0, 0.5, 1.0},
		{"kernel memory a remote endpoint, bytes", memoryEach, library, "", 0, 160, 128},
		{"Endpoint.Create, × netlink and one tcx attach", createTime, library, byHand, 0, 1.3, 1.1},
	}
}

// outcome is how close a goal is.
type outcome struct {
	Goal    string  `json:"goal"`
	AtLeast float64 `json:"atLeast"` // at most, where Aim is less
	Aim     float64 `json:"aim"`
	Got     float64 `json:"got"`
	Reached string  `json:"reached"`
}

// judge compares with the goals what was measured of them.
func (r *results) judge() []outcome {
	all := []outcome{} // in JSON, none is an empty list
	for _, g := range goals() {
		s := r.find(g.figure, g.of, g.mtu)
		if s == nil {
			continue
		}
		got := s.Median
		if g.to != "" {
			to := r.find(g.figure, g.to, g.mtu)
			if to == nil {
				continue
			}
			got = ratio(s, to)
		}
		all = append(all, outcome{g.name, g.atLeast, g.aims, got, g.reached(got)})
	}
	return all
}

func (g goal) reached(got float64) string {
	sign := 1.0
	if g.aims < g.atLeast {
		sign = -1
	}
	switch {
	case sign*got >= sign*g.aims:
		return "aim"
	case sign*got >= sign*g.atLeast:
		return "yes"
	}
	return "NO"
}

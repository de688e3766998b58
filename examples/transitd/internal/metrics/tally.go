// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/mizar-go/mizar/dataplane"
	tables "github.com/mizar-go/mizar/maps"
)

// tally sums up what endpoints carry, from scrape to scrape. A sum over endpoints that come and go would fall with
// each that goes; so sums are of what each has carried since it was seen first.
type tally struct {
	maxEndpoints, maxVPCs int

	round     uint64 // of this scrape
	endpoints map[endpointKey]*endpointTally
	names     map[nameKey]*endpointTally // of those that have series
	vpcs      map[uint32]*vpcTally
	series    int      // VPCs that have series
	rest      vpcTally // of those that have none
}

type endpointKey struct {
	ifindex int
	vni     uint32
	mac     string
}

type nameKey struct {
	vni  uint32
	name string
}

type endpointTally struct {
	row   dataplane.Traffic // as read last
	since tables.Traffic    // the scrape before
	round uint64            // seen last
	name  string            // its label; empty: it is one of the others
}

type vpcTally struct {
	total  tables.Traffic // of all its endpoints
	others tables.Traffic // of those that have no series, while they had none
	own    bool           // it has series
	round  uint64         // an endpoint was seen last
	hidden uint64         // likewise, one without series
}

func newTally(maxEndpoints, maxVPCs int) *tally {
	return &tally{
		maxEndpoints: maxEndpoints, maxVPCs: maxVPCs,
		endpoints: make(map[endpointKey]*endpointTally), names: make(map[nameKey]*endpointTally),
		vpcs: make(map[uint32]*vpcTally),
	}
}

// add takes what was read. Where that is all, who is missing is gone, and makes room for others.
func (t *tally) add(rows []dataplane.Traffic, all bool) {
	t.round++
	for _, row := range rows {
		t.note(row)
	}
	if all {
		t.forget()
	}
	t.deal()
	for _, e := range t.endpoints {
		if e.round != t.round {
			continue
		}
		vpc := t.vpcs[e.row.VNI]
		sums := []*vpcTally{vpc}
		if !vpc.own {
			sums = append(sums, &t.rest)
		}
		for _, s := range sums {
			s.round = t.round
			s.total = plus(s.total, e.since)
			if e.name == "" {
				s.hidden = t.round
				s.others = plus(s.others, e.since)
			}
		}
	}
}

func (t *tally) note(row dataplane.Traffic) {
	key := endpointKey{row.Ifindex, row.VNI, string(row.MAC)}
	e := t.endpoints[key]
	if e == nil {
		e = new(endpointTally)
		t.endpoints[key] = e
	}
	e.since, e.row, e.round = since(e.row.Traffic, row.Traffic), row, t.round
	if t.vpcs[row.VNI] == nil {
		t.vpcs[row.VNI] = new(vpcTally)
	}
	t.vpcs[row.VNI].round = t.round
}

func (t *tally) forget() {
	for key, e := range t.endpoints {
		if e.round == t.round {
			continue
		}
		delete(t.endpoints, key)
		if name := (nameKey{key.vni, e.name}); t.names[name] == e {
			delete(t.names, name)
		}
	}
	for vni, v := range t.vpcs {
		if v.round == t.round {
			continue
		}
		delete(t.vpcs, vni)
		if v.own {
			t.series--
		}
	}
}

// deal gives series to those that have none, as far as there are any, the lowest numbers first.
func (t *tally) deal() {
	if len(t.names) < t.maxEndpoints {
		var without []*endpointTally
		for _, e := range t.endpoints {
			if e.name == "" && e.round == t.round {
				without = append(without, e)
			}
		}
		slices.SortFunc(without, func(a, b *endpointTally) int { return cmp.Compare(a.row.Ifindex, b.row.Ifindex) })
		for _, e := range without[:min(len(without), t.maxEndpoints-len(t.names))] {
			e.name = label(e.row, func(name string) bool { return t.names[nameKey{e.row.VNI, name}] != nil })
			t.names[nameKey{e.row.VNI, e.name}] = e
		}
	}
	for _, vni := range slices.Sorted(maps.Keys(t.vpcs)) {
		if v := t.vpcs[vni]; !v.own && t.series < t.maxVPCs {
			v.own = true
			t.series++
		}
	}
}

// show shows what was read last.
func (t *tally) show(to sink) {
	var endpoints, vpcs int
	for _, e := range t.endpoints {
		switch {
		case e.round != t.round:
		case e.name == "":
			endpoints++
		default:
			to.traffic(endpointPackets, endpointBytes, e.row.Traffic, strconv.FormatUint(uint64(e.row.VNI), 10), e.name)
		}
	}
	for vni, v := range t.vpcs {
		switch {
		case v.round != t.round:
		case !v.own:
			vpcs++
		default:
			v.show(to, t.round, strconv.FormatUint(uint64(vni), 10))
		}
	}
	if t.rest.round == t.round {
		t.rest.show(to, t.round, other)
	}
	to.gauge(seriesDropped, float64(endpoints), "endpoint")
	to.gauge(seriesDropped, float64(vpcs), "vpc")
}

func (v *vpcTally) show(to sink, round uint64, vni string) {
	to.traffic(vpcPackets, vpcBytes, v.total, vni)
	if v.hidden == round {
		to.traffic(endpointPackets, endpointBytes, v.others, vni, other)
	}
}

// since is what was carried between two readings. One that is smaller has begun anew.
func since(before, now tables.Traffic) tables.Traffic {
	if now.RxPackets < before.RxPackets || now.RxBytes < before.RxBytes ||
		now.TxPackets < before.TxPackets || now.TxBytes < before.TxBytes {
		return now
	}
	return tables.Traffic{
		RxPackets: now.RxPackets - before.RxPackets, RxBytes: now.RxBytes - before.RxBytes,
		TxPackets: now.TxPackets - before.TxPackets, TxBytes: now.TxBytes - before.TxBytes,
	}
}

func plus(a, b tables.Traffic) tables.Traffic {
	return tables.Traffic{
		RxPackets: a.RxPackets + b.RxPackets, RxBytes: a.RxBytes + b.RxBytes,
		TxPackets: a.TxPackets + b.TxPackets, TxBytes: a.TxBytes + b.TxBytes,
	}
}

// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/maps"
)

// carried is what an endpoint has carried: of each count, a different one.
func carried(ifindex int, vni uint32, name string, n uint64) dataplane.Traffic {
	return dataplane.Traffic{Ifindex: ifindex, VNI: vni, Interface: name, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1},
		Traffic: maps.Traffic{RxPackets: n, RxBytes: 100 * n, TxPackets: 2 * n, TxBytes: 300 * n}}
}

// tallied gathers what a tally shows.
type tallied struct{ *tally }

func (t tallied) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{vpcPackets, vpcBytes, endpointPackets, endpointBytes, seriesDropped} {
		to <- d
	}
}
func (t tallied) Collect(to chan<- prometheus.Metric) { t.show(to) }

func shown(t *testing.T, of *tally) series {
	t.Helper()
	m := &Metrics{registry: prometheus.NewPedanticRegistry()}
	require.NoError(t, m.registry.Register(tallied{of}))
	return scrape(t, m)
}

func received(s series, vni, name string) float64 {
	if name == "" {
		return s[fmt.Sprintf(`mizar_vpc_packets_total{direction="receive",vni=%q}`, vni)]
	}
	return s[fmt.Sprintf(`mizar_endpoint_packets_total{direction="receive",interface=%q,vni=%q}`, name, vni)]
}

// An endpoint goes: what its VPC has carried does not fall, and goes on from there.
func TestSumsDoNotFall(t *testing.T) {
	y := newTally(10, 10)
	y.add([]dataplane.Traffic{carried(1, 7, "a", 1000), carried(2, 7, "b", 50)}, true)
	require.EqualValues(t, 1050, received(shown(t, y), "7", ""))
	y.add([]dataplane.Traffic{carried(2, 7, "b", 60)}, true)
	got := shown(t, y)
	require.EqualValues(t, 1060, received(got, "7", ""))
	require.EqualValues(t, 60, received(got, "7", "b"))
	require.Empty(t, got.of("mizar_endpoint_packets_total", `interface="a"`))
	// Another takes its place, by number and name; it has begun anew.
	y.add([]dataplane.Traffic{carried(1, 7, "a", 5), carried(2, 7, "b", 60)}, true)
	got = shown(t, y)
	require.EqualValues(t, 1065, received(got, "7", ""))
	require.EqualValues(t, 5, received(got, "7", "a"))
	// Also where nobody looked between the two.
	y.add([]dataplane.Traffic{carried(1, 7, "a", 3), carried(2, 7, "b", 60)}, true)
	require.EqualValues(t, 1068, received(shown(t, y), "7", ""))
	// The last goes, and the VPC with it.
	y.add(nil, true)
	require.Empty(t, shown(t, y).of("mizar_vpc_packets_total"))
	require.Empty(t, y.vpcs)
	require.Empty(t, y.endpoints)
	require.Empty(t, y.names)
	require.Zero(t, y.series)
}

// Where reading stopped midway, nobody is taken for gone, and what was not read is not shown.
func TestReadInPart(t *testing.T) {
	y := newTally(10, 10)
	y.add([]dataplane.Traffic{carried(1, 7, "a", 1000), carried(2, 8, "b", 50), carried(3, 7, "c", 500)}, true)
	y.add([]dataplane.Traffic{carried(1, 7, "a", 1000), carried(2, 8, "b", 50)}, true)
	y.add([]dataplane.Traffic{carried(2, 8, "b", 51)}, false)
	got := shown(t, y)
	require.EqualValues(t, 51, received(got, "8", "b"))
	require.Empty(t, got.of("mizar_vpc_packets_total", `vni="7"`))
	y.add(nil, false)
	require.Empty(t, shown(t, y).of("mizar_endpoint_packets_total"))
	y.add([]dataplane.Traffic{carried(1, 7, "a", 1001), carried(2, 8, "b", 52)}, true)
	require.EqualValues(t, 1501, received(shown(t, y), "7", ""))
}

// Names of interfaces may be anything, and the same of two where one was renamed.
func TestNames(t *testing.T) {
	y := newTally(5, 10)
	y.add([]dataplane.Traffic{
		carried(1, 7, "same", 1), carried(2, 7, "same", 2), carried(3, 7, "", 3), carried(4, 7, "other", 4),
		carried(5, 7, "\xff\xfe", 5), carried(6, 7, "z", 6),
	}, true)
	got := shown(t, y)
	for name, n := range map[string]float64{"same": 1, "ifindex:2": 2, "ifindex:3": 3, "ifindex:4": 4, "\uFFFD": 5, "other": 6} {
		require.Equal(t, n, received(got, "7", name), "%s: %v", name, got)
	}
}

// The bounds hold, and no sum of a VPC falls while it has a series, whoever comes and goes.
func TestTallyBounds(t *testing.T) {
	const maxEndpoints, maxVPCs = 5, 2
	y := newTally(maxEndpoints, maxVPCs)
	counts := make(map[int]uint64)
	var last series
	for round := range 200 {
		var rows []dataplane.Traffic
		for ifindex := 1; ifindex <= 20; ifindex++ {
			if rand.IntN(4) == 0 {
				delete(counts, ifindex)
				continue
			}
			counts[ifindex] += rand.Uint64N(100) + 1
			rows = append(rows, carried(ifindex, uint32(ifindex%5), fmt.Sprintf("i%d", ifindex), counts[ifindex]))
		}
		y.add(rows, true)
		got := shown(t, y)
		own, vpcs := 0, 0
		for key := range got.of("mizar_endpoint_packets_total", `direction="receive"`) {
			if !strings.Contains(key, `interface="other"`) {
				own++
			}
		}
		for key, n := range got.of("mizar_vpc_packets_total", `direction="receive"`) {
			if !strings.Contains(key, `vni="other"`) {
				vpcs++
			}
			// A series that goes on does not fall.
			if before, ok := last[key]; ok {
				require.GreaterOrEqual(t, n, before, "%d: %s", round, key)
			}
		}
		require.LessOrEqual(t, own, maxEndpoints)
		require.LessOrEqual(t, vpcs, maxVPCs)
		require.EqualValues(t, len(rows)-own, got[`mizar_series_dropped{kind="endpoint"}`])
		require.LessOrEqual(t, len(got.of("mizar_endpoint_packets_total")), 2*(maxEndpoints+maxVPCs+1))
		require.LessOrEqual(t, len(y.endpoints), 20)
		last = got
	}
}

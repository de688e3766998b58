// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"fmt"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// statNouns are what is only read: what the programs did, and what they learned.
func statNouns() []*noun {
	ofVPC := flag{name: "vni", path: "vni", keys: "vpc", usage: "only those of this VPC"}
	return []*noun{{
		name: "counter", plural: "counters", short: "how often packets fared how", key: []string{"name"},
		columns: []column{is("NAME", counterName), count("PACKETS", "packets"), count("BYTES", "bytes")},
		list:    unary((*api).ListCounters),
	}, {
		name: "traffic", plural: "traffic", short: "what droplets and workloads have carried", key: []string{"interface"},
		filters: []flag{{name: "vni", path: "vni", keys: "vpc", usage: "only workloads of this VPC"}},
		columns: append([]column{
			col("KIND", "kind"), col("INTERFACE", "interface"), col("VNI", "vni"), count("RX-PACKETS", "rx_packets"),
			count("RX-BYTES", "rx_bytes"), count("TX-PACKETS", "tx_packets"), count("TX-BYTES", "tx_bytes"),
		}, wide(col("IFINDEX", "ifindex"), col("MAC", "mac"), col("COOKIE", "cookie"))...),
		list: unary((*api).ListTraffic),
	}, {
		name: "table", plural: "tables", short: "how full the tables are, or were some seconds ago", key: []string{"name"},
		columns: []column{col("NAME", "name"), count("ENTRIES", "entries"), count("CAPACITY", "capacity"), is("FULL", tableFull)},
		list:    unary((*api).ListTables),
	}, {
		name: "direct", plural: "directs", short: "hosts of endpoints that packets taught", key: []string{"vni", "address"},
		filters: []flag{ofVPC},
		columns: []column{col("VNI", "vni"), col("ADDRESS", "address"), col("HOST", "host"), col("IDLE", "idle")},
		list:    stream((*api).ListDirects),
	}, {
		name: "path", plural: "paths", short: "what is known of the ways to hosts", key: []string{"host"},
		columns: []column{col("HOST", "host"), col("MTU", "mtu"), is("EXPIRES", pathExpires)},
		list:    stream((*api).ListPaths),
	}}
}

// pathExpires has nothing where nothing was learned that could.
func pathExpires(p *v1.Path) cell {
	if p.GetMtu() == 0 {
		return cell{}
	}
	return cell{text: duration(p.GetExpires())}
}

func counterName(c *v1.Counter) cell {
	if c.GetDrop() {
		return cell{c.GetName(), red}
	}
	return cell{text: c.GetName()}
}

// tableFull warns before a table refuses rows.
func tableFull(t *v1.Table) cell {
	if t.GetCapacity() == 0 {
		return cell{}
	}
	c := cell{text: fmt.Sprintf("%.1f%%", 100*float64(t.GetEntries())/float64(t.GetCapacity()))}
	switch {
	case t.GetEntries()*100 >= t.GetCapacity()*95:
		c.color = red
	case t.GetEntries()*100 >= t.GetCapacity()*80:
		c.color = yellow
	}
	return c
}

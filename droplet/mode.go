// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"fmt"
	"slices"
)

// choice is a mode to try, and in a sentence why.
type choice struct {
	mode Mode
	why  string
}

// virtual are drivers of a hypervisor's NICs, where native XDP turns off segmentation offload.
var virtual = []string{"hv_netvsc", "virtio_net", "vif", "vmxnet3", "xen_netfront"}

// choose is what to try, the best first.
func choose(dev *device, mode Mode) []choice {
	if mode != Auto {
		return []choice{{mode, fmt.Sprintf("%s was asked for", mode)}}
	}
	c := candidate{name: dev.Attrs().Name, kind: dev.kind(), driver: dev.driver()}
	if xdp := dev.Attrs().Xdp; xdp != nil && xdp.Attached {
		c.program = xdp.ProgId
	}
	if c.kind == "" {
		c.features, c.known = xdpFeatures(dev.index())
	}
	return c.choices()
}

// candidate is what the choice depends on.
type candidate struct {
	name     string
	kind     string // of a virtual device
	driver   string
	program  uint32 // another's XDP program; 0: none
	features uint64 // what the driver does of XDP
	known    bool   // whether it is known
}

func (c *candidate) choices() []choice {
	tcx := func(format string, args ...any) []choice {
		return []choice{{TCX, fmt.Sprintf(format, args...)}}
	}
	const need = xdpBasic | xdpRedirect
	switch {
	case c.program != 0:
		return tcx("another's XDP program (%d) is attached to %s, and tcx works behind it", c.program, c.name)
	case c.kind != "":
		return tcx("%s is a virtual device (%s), where XDP would turn off segmentation offload", c.name, c.kind)
	case slices.Contains(virtual, c.driver):
		return tcx("%s is a virtual NIC (driver %s), where XDP would turn off segmentation offload", c.name, c.driver)
	case c.known && c.features&need != need:
		return tcx("the driver of %s, %s, has no native XDP that redirects", c.name, c.driver)
	}
	return []choice{
		{Native, fmt.Sprintf("the driver of %s, %s, has native XDP", c.name, c.driver)},
		{TCX, fmt.Sprintf("the driver of %s, %s, refused native XDP", c.name, c.driver)},
	}
}

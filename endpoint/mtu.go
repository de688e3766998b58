// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"

	"github.com/mizar-go/mizar/maps"
)

const (
	minMTU4 = 576
	minMTU6 = 1280
	maxMTU  = 65535

	commonMTU = 1500 // of an underlay that is not known yet
)

// Overhead is what a tunnel packet of the largest option set has more than the packet inside, in bytes of
// the underlay's MTU: IP, UDP, Geneve, return-to-sender (24) and the inner Ethernet header. v6 is the
// family outside. A workload that tags its frames should leave 4 more.
func Overhead(v6 bool) int {
	const udp, geneve, returnToSender, ethernet = 8, 8, 24, 14
	if v6 {
		return 40 + udp + geneve + returnToSender + ethernet
	}
	return 20 + udp + geneve + returnToSender + ethernet
}

// fits says what is wrong with an MTU.
func (c *Config) fits(mtu int) error {
	low := minMTU4
	if c.has(false) {
		low = minMTU6
	}
	if mtu < low || mtu > maxMTU {
		return fmt.Errorf("mtu %d: not %d to %d: %w", mtu, low, maxMTU, ErrMTU)
	}
	return nil
}

// defaultMTU is what every droplet leaves for a packet inside.
func defaultMTU(droplets *maps.Droplets) (int, error) {
	mtu := 0
	for d, err := range droplets.All() {
		if err != nil {
			return 0, fmt.Errorf("read droplets: %w", err)
		}
		if left := d.MTU - Overhead(has6(d)); mtu == 0 || left < mtu {
			mtu = left
		}
	}
	if mtu == 0 {
		mtu = commonMTU - Overhead(true)
	}
	return mtu, nil
}

// tunnelMTU is the size of the largest packet that a droplet takes.
func tunnelMTU(droplets *maps.Droplets) (int, error) {
	mtu := 0
	for d, err := range droplets.All() {
		if err != nil {
			return 0, fmt.Errorf("read droplets: %w", err)
		}
		mtu = max(mtu, d.MTU)
	}
	if mtu == 0 {
		mtu = commonMTU
	}
	return mtu, nil
}

func has6(d maps.Droplet) bool {
	for _, a := range d.Addrs {
		if a.Is6() {
			return true
		}
	}
	return false
}

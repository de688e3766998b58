// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
)

// provisioning is what the measurements of a control plane's work are called in flags.
const provisioning = "provision"

// Who provisions.
const (
	library = "mizar"
	byHand  = "netlink"
)

const (
	libraryTitle = "mizar"
	byHandTitle  = "veth by netlink, one tcx attach"
)

// provision measures what a control plane waits for.
func (b *bench) provision(ctx context.Context) error {
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{
		{fmt.Sprintf("provision %d remote endpoints", b.endpoints), b.provisionRemote},
		{"create endpoints one by one", b.provisionOne},
		{fmt.Sprintf("create %d endpoints at once", b.parallel), b.provisionMany},
	} {
		b.say("%s", part.name)
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// took adds a figure of the library's.
func (b *bench) took(name, unit string, digit int, value float64) {
	b.results.add(figure{name, unit, digit}, library, libraryTitle, 0, value)
}

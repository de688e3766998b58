// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"time"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
)

// rewire is how often flows are looked after. An Open vSwitch that was restarted has none.
const rewire = 3 * time.Second

// keepWired puts flows back that went with ovs-vswitchd, while there are endpoints at its bridges: ports know what they
// were wired to, and without flows they are ordinary ones.
func (h *Host) keepWired(ctx context.Context) {
	ticker := time.NewTicker(rewire)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !h.usesOVS() {
			continue
		}
		mended, err := h.ovs.Mend(ctx)
		for _, port := range mended {
			h.log.Warn("wired again", "port", port, "reason", "its flows were gone")
		}
		text := ""
		if err != nil && ctx.Err() == nil && !errors.Is(err, ovs.ErrUnavailable) {
			text = err.Error()
		}
		if text != "" && text != said {
			h.log.Error("flows cannot be looked after", "error", text)
		}
		said = text
	}
}

func (h *Host) usesOVS() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, m := range h.asked[pb.Kind_KIND_LOCAL_ENDPOINT] {
		if m.(*pb.LocalEndpoint).GetOvs() != nil {
			return true
		}
	}
	return false
}

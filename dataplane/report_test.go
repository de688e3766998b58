// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/attach"
	"github.com/mizar-go/mizar/internal/testutil"
)

// wrong lists what a report says is not as it should be.
func wrong(r Report) (found []string) {
	say := func(what, name string, gone, partial bool) {
		if gone {
			found = append(found, what+" "+name+" gone")
		}
		if partial {
			found = append(found, what+" "+name+" partial")
		}
	}
	for _, d := range r.Droplets {
		say("droplet", d.Interface, d.Gone, d.Partial)
	}
	for _, e := range r.Endpoints {
		say("endpoint", e.HostInterface, e.Gone, e.Partial)
	}
	for _, l := range r.Links {
		say("link", l.Hook, l.Gone, false)
	}
	return found
}

// TestReport: what happened to an instance while no process ran is found by Open, and by nobody in one that
// is well. Destroy copes with all of it.
func TestReport(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, h *host, d *droplet.Droplet, e *endpoint.Endpoint)
		links int
		want  []string
	}{
		{"nothing", func(*testing.T, *host, *droplet.Droplet, *endpoint.Endpoint) {}, 2, nil},
		{
			"interfaces are gone",
			func(t *testing.T, h *host, _ *droplet.Droplet, _ *endpoint.Endpoint) {
				testutil.Delete(t, h.ns, "eth0", "mzworkload")
			}, 2,
			[]string{"droplet eth0 gone", "endpoint mzworkload gone", "link agent_tcx gone", "link transit_tcx gone"},
		},
		{
			"others have their numbers",
			func(t *testing.T, h *host, d *droplet.Droplet, e *endpoint.Endpoint) {
				testutil.Delete(t, h.ns, "eth0", "mzworkload")
				for name, index := range map[string]int{"x0": d.Ifindex, "x1": e.Ifindex} {
					testutil.In(t, h.ns, func() error {
						attrs := netlink.NewLinkAttrs()
						attrs.Name, attrs.Index = name, index
						return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
					})
				}
			}, 2,
			[]string{"droplet eth0 gone", "endpoint mzworkload gone", "link agent_tcx gone", "link transit_tcx gone"},
		},
		{
			"programs were detached",
			func(t *testing.T, h *host, _ *droplet.Droplet, _ *endpoint.Endpoint) {
				for _, name := range entries(t, h.pins().links()) {
					l, err := link.LoadPinnedLink(filepath.Join(h.pins().links(), name), nil)
					require.NoError(t, err)
					require.NoError(t, l.Detach())
					require.NoError(t, l.Close())
				}
			}, 2,
			[]string{"droplet eth0 partial", "endpoint mzworkload partial", "link agent_tcx gone", "link transit_tcx gone"},
		},
		{
			"pins of links are missing",
			func(t *testing.T, h *host, d *droplet.Droplet, e *endpoint.Endpoint) {
				testutil.In(t, h.ns, func() error { return attach.Detach(h.pins().links(), d.Ifindex, attach.TransitTCX) })
				testutil.In(t, h.ns, func() error { return attach.Detach(h.pins().links(), e.Ifindex, attach.AgentTCX) })
			}, 0,
			[]string{"droplet eth0 partial", "endpoint mzworkload partial"},
		},
		{
			"rows are missing",
			func(t *testing.T, h *host, d *droplet.Droplet, e *endpoint.Endpoint) {
				dp := h.open(t)
				require.NoError(t, dp.rows.Droplets.Delete(d.Ifindex))
				require.NoError(t, dp.rows.Agents.Delete(e.Ifindex))
				require.NoError(t, dp.Close())
			}, 2,
			[]string{"droplet eth0 partial", "endpoint mzworkload partial"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, other := newHosts(t)
			workload := testutil.NewNS(t)
			dp := h.open(t)
			require.NoError(t, contentsOf(h, other, 1, 2).fill(t.Context(), dp, droplet.TCX, endpoint.FD(workload.FD())))
			d, e := collect(t, dp.Droplet.List(t.Context()))[0], collect(t, dp.Endpoint.Local(t.Context()))[0]
			require.NoError(t, dp.Close())
			c.spoil(t, h, d, e)

			dp = h.open(t)
			r := dp.Report()
			require.ElementsMatch(t, c.want, wrong(r))
			require.Len(t, r.Droplets, 1)
			require.Equal(t, "eth0", r.Droplets[0].Interface)
			require.Len(t, r.Endpoints, 1)
			require.Len(t, r.Links, c.links)
			require.NoError(t, dp.Destroy(t.Context()))
			require.Empty(t, h.files(t))
		})
	}
}

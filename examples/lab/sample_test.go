// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/stretchr/testify/require"
)

// Every sample comes up from its file, carries traffic within each tenant and not between them, can be
// looked at, and goes.
func TestSamples(t *testing.T) {
	for _, file := range []string{"two-hosts.yaml", "four-hosts.yaml", "tenants.yaml"} {
		t.Run(file, func(t *testing.T) {
			name := newName(t)
			var out bytes.Buffer
			require.NoError(t, run(t.Context(), &out, []string{"up", "-name", name, file}))
			p, err := parse(file, name, sample(t, file))
			require.NoError(t, err)
			for _, ns := range p.namespaces() {
				require.Contains(t, out.String(), " "+ns+": ", "a line for everything that is made")
			}
			require.ErrorIs(t, run(t.Context(), io.Discard, []string{"up", file, "-name", name}), errUp)

			for _, v := range p.vpcs {
				for _, from := range v.places {
					for _, to := range v.places {
						for i := range min(len(from.addrs), len(to.addrs)) {
							if from != to {
								ping(t, p, from, to, i)
							}
						}
					}
				}
			}
			shows(t, p)

			out.Reset()
			require.NoError(t, run(t.Context(), &out, []string{"down", name}))
			require.Equal(t, len(p.namespaces())+len(p.hosts), strings.Count(out.String(), "\n"))
			require.Empty(t, leftOf(t, name))
			require.ErrorIs(t, run(t.Context(), io.Discard, []string{"down", name}), errNoLab)
		})
	}
}

// ping has an endpoint be answered by another of its tenant. That it was that one, and not another
// tenant's of the same address, its counts tell.
func ping(t *testing.T, p *plan, from, to *place, i int) {
	t.Helper()
	ns, err := netns.FromPath(p.netns(from.name))
	require.NoError(t, err)
	defer ns.Close()
	before := received(t, p)
	// The very first may wait for a neighbour on a loaded machine.
	got := testutil.Ping(t, ns, from.addrs[i].Addr(), to.addrs[i].Addr(), 3, 10*time.Second)
	require.Zero(t, got.Lost, "%s to %s at %s: %v", from.name, to.name, to.addrs[i], got.Errors)
	for name, packets := range received(t, p) {
		switch name {
		case from.name, to.name:
			require.GreaterOrEqual(t, packets-before[name], uint64(3), name)
		default:
			require.Equal(t, before[name], packets, "%s hears what %s and %s say", name, from.name, to.name)
		}
	}
}

// received is what was delivered to each endpoint.
func received(t *testing.T, p *plan) map[string]uint64 {
	t.Helper()
	views, err := p.look(t.Context())
	require.NoError(t, err)
	all := map[string]uint64{}
	for _, v := range views {
		for _, l := range v.Local {
			all[l.Interface] = l.RxPackets
		}
	}
	return all
}

// shows looks at a lab in all three ways.
func shows(t *testing.T, p *plan) {
	t.Helper()
	show := func(form string) string {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), &out, []string{"show", p.name, "-o", form}))
		return out.String()
	}
	text, picture := show("text"), show("svg")
	var tree struct {
		Lab   string
		Hosts []struct {
			Host      string
			Droplets  []struct{ Interface string }
			Local     []struct{ Interface string }
			Counters  []struct{ Reason string }
			Addresses []netip.Prefix
		}
	}
	require.NoError(t, json.Unmarshal([]byte(show("json")), &tree))
	require.Equal(t, p.name, tree.Lab)
	require.Len(t, tree.Hosts, len(p.hosts))
	local := 0
	for i, h := range tree.Hosts {
		require.Equal(t, p.hosts[i].name, h.Host)
		require.Equal(t, p.hosts[i].addrs, h.Addresses)
		require.Len(t, h.Droplets, 1)
		require.Equal(t, "uplink", h.Droplets[0].Interface)
		require.NotEmpty(t, h.Counters)
		local += len(h.Local)
		require.Contains(t, text, "host "+h.Host+": ")
		require.Contains(t, picture, ">"+h.Host+"</text>")
	}
	for _, v := range p.vpcs {
		local -= len(v.places)
		require.Contains(t, text, v.name)
		require.Contains(t, picture, v.name)
		for _, e := range v.places {
			require.Regexp(t, `endpoint +`+e.name+` `, text)
			require.Contains(t, picture, ">"+e.name+"</text>")
		}
	}
	require.Zero(t, local, "endpoints in JSON, less those in the file")
	require.Contains(t, text, "SEND_DIRECT")
	require.Contains(t, picture, "send direct")
	wellFormed(t, picture)
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
	}
}

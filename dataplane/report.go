// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
)

// Report is what Open found. A droplet or endpoint that is marked Gone has lost its interface, a link that
// is, its interface or its place there: only removing is left. One that is Partial lacks a program or a row.
type Report struct {
	Adopted   bool                 // the instance was there; false: Open made it
	Upgraded  bool                 // its programs were another build's, and have been replaced
	Limits    bpf.Limits           // sizes of the tables, as they are
	Differs   []string             // names of the limits that are not as [Config.Limits] asks; empty: none
	Droplets  []*droplet.Droplet   // attached interfaces
	Endpoints []*endpoint.Endpoint // local ones
	Links     []Link               // attached programs
}

// Link is a program that is attached to an interface.
type Link struct {
	Ifindex int    // of the interface, also where it is gone
	Hook    string // transit or agent, and xdp or tcx: transit_xdp
	Gone    bool   // the interface, or the attachment, is there no more
}

// Report is what Open found. It does not change afterwards: lists by the managers do.
func (dp *Dataplane) Report() Report {
	r := dp.report
	r.Differs = slices.Clone(r.Differs)
	r.Droplets = slices.Clone(r.Droplets)
	r.Endpoints = slices.Clone(r.Endpoints)
	r.Links = slices.Clone(r.Links)
	return r
}

// Gone tells whether anything found is marked so.
func (r Report) Gone() bool {
	return slices.ContainsFunc(r.Droplets, func(d *droplet.Droplet) bool { return d.Gone }) ||
		slices.ContainsFunc(r.Endpoints, func(e *endpoint.Endpoint) bool { return e.Gone }) ||
		slices.ContainsFunc(r.Links, func(l Link) bool { return l.Gone })
}

// found reports on an adopted instance that had programs of the given build.
func (o *opening) found(ctx context.Context, build uint64) (Report, error) {
	r := Report{Adopted: true, Upgraded: build != bpf.Build(), Limits: o.tables.Limits()}
	r.Differs = differ(o.config.Limits, r.Limits)
	pinned, err := o.links()
	if err != nil {
		return Report{}, err
	}
	for _, l := range pinned {
		r.Links = append(r.Links, Link{Ifindex: l.Ifindex, Hook: l.Hook.String(), Gone: l.Gone})
	}
	for d, err := range o.Droplet.m.List(ctx) {
		if err != nil {
			return Report{}, fmt.Errorf("list droplets: %w", err)
		}
		r.Droplets = append(r.Droplets, d)
	}
	for e, err := range o.Endpoint.m.Local(ctx) {
		if err != nil {
			return Report{}, fmt.Errorf("list endpoints: %w", err)
		}
		r.Endpoints = append(r.Endpoints, e)
	}
	return r, nil
}

// differ names the limits that are asked for and not there.
func differ(want, have bpf.Limits) []string {
	var names []string
	w, h := reflect.ValueOf(want), reflect.ValueOf(have)
	for i := range w.NumField() {
		if n := w.Field(i).Uint(); n != 0 && n != h.Field(i).Uint() {
			names = append(names, fmt.Sprintf("%s: %d, not %d", w.Type().Field(i).Name, h.Field(i).Uint(), n))
		}
	}
	return names
}

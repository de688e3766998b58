// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	"github.com/mizar-go/mizar/bpf"
)

// Every packet gets one verdict of each program that it meets: one where it is sent, one at each host
// that it only passes, and one where it is delivered.
func sends() []bpf.Reason {
	return []bpf.Reason{
		bpf.TableReasonREASON_DELIVER_LOCAL,
		bpf.TableReasonREASON_SEND_DIRECT,
		bpf.TableReasonREASON_SEND_BOUNCER,
		bpf.TableReasonREASON_SEND_DIVIDER,
	}
}

func relays() []bpf.Reason {
	return []bpf.Reason{
		bpf.TableReasonREASON_DIVIDE_VPC,
		bpf.TableReasonREASON_DIVIDE_NETWORK,
		bpf.TableReasonREASON_BOUNCE,
	}
}

// route is the way of one packet.
type route []verdict

// String reads as the packet went: A SEND_BOUNCER → C BOUNCE → B DELIVER.
func (r route) String() string {
	steps := make([]string, len(r))
	for i, v := range r {
		steps[i] = v.String()
	}
	return strings.Join(steps, " → ")
}

// take reads a packet's way off the counters, and takes it out of them.
func (v verdicts) take(from, to string) (r route) {
	hop := func(host string, reasons ...bpf.Reason) bool {
		i := slices.IndexFunc(reasons, func(reason bpf.Reason) bool { return v[verdict{host, reason}] > 0 })
		if i < 0 {
			return false
		}
		step := verdict{host, reasons[i]}
		if v[step]--; v[step] == 0 {
			delete(v, step)
		}
		r = append(r, step)
		return true
	}
	hop(from, sends()...)
	for _, passed := range []string{"C", "D"} {
		hop(passed, relays()...)
	}
	if from != to {
		hop(to, bpf.TableReasonREASON_DELIVER)
	}
	return r
}

// The ways that packets should take.
func local(host string) route {
	return route{{host, bpf.TableReasonREASON_DELIVER_LOCAL}}
}

func direct(from, to string) route {
	return route{{from, bpf.TableReasonREASON_SEND_DIRECT}, {to, bpf.TableReasonREASON_DELIVER}}
}

// bounced is by C, which knows the endpoint.
func bounced(from, to string) route {
	return route{
		{from, bpf.TableReasonREASON_SEND_BOUNCER},
		{"C", bpf.TableReasonREASON_BOUNCE},
		{to, bpf.TableReasonREASON_DELIVER},
	}
}

// divided is by C, which does not know the network, and by D, which knows who bounces for it.
func divided(from, to string) route {
	return route{
		{from, bpf.TableReasonREASON_SEND_BOUNCER},
		{"C", bpf.TableReasonREASON_DIVIDE_VPC},
		{"D", bpf.TableReasonREASON_DIVIDE_NETWORK},
		{to, bpf.TableReasonREASON_DELIVER},
	}
}

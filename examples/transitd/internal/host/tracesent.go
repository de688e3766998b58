// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"net/netip"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/maps"
)

// sent is what an endpoint of this host sends.
func (t *trace) sent(src, dst netip.Addr) error {
	if t.senseless(src, dst) {
		return nil
	}
	sender := src // whose chains it runs through
	from, err := t.endpoint(src)
	if err != nil {
		return err
	}
	if from != nil && from.Ifindex != 0 {
		t.sender = from.Ifindex
	} else {
		e, err := t.allowed(src)
		if err != nil || e == nil {
			return errors.Join(err, t.end(bpf.TableReasonDROP_SPOOF_ADDRESS))
		}
		t.sender, sender = e.Ifindex, e.Addrs[0]
	}
	if err := t.chain(dataplane.StageSend, sender); err != nil {
		return err
	}
	to, err := t.endpoint(dst)
	if err != nil {
		return err
	}
	var net *maps.Network
	if to == nil {
		learned, err := t.direct(dst)
		if err != nil {
			return err
		}
		if learned.IsValid() {
			return t.send(bpf.TableReasonREASON_SEND_DIRECT, learned)
		}
		if net, to, err = t.route(dst); err != nil {
			return err
		}
		if to == nil && net != nil && net.Via.IsValid() {
			learned, err := t.direct(net.Via)
			if err != nil {
				return err
			}
			if learned.IsValid() {
				return t.send(bpf.TableReasonREASON_SEND_DIRECT, learned)
			}
		}
	}
	switch {
	case to != nil && to.Ifindex != 0:
		return t.deliver(to, bpf.TableReasonREASON_DELIVER_LOCAL)
	case to != nil:
		return t.send(bpf.TableReasonREASON_SEND_DIRECT, to.Host)
	case net == nil:
		own, err := t.network(src)
		if err != nil {
			return err
		}
		if own != nil && len(own.Bouncers) > 0 && !t.here(own.Bouncers) {
			t.step("networks", "", own.Prefix.String(), "a bouncer of the sender's own network may know more")
			return t.send(bpf.TableReasonREASON_SEND_BOUNCER, own.Bouncers...)
		}
	}
	return t.relay(net, bpf.TableReasonREASON_SEND_BOUNCER, bpf.TableReasonREASON_SEND_DIVIDER)
}

// allowed finds the first workload here that may send from an address that is not its own. Nil: none may.
func (t *trace) allowed(src netip.Addr) (*endpoint.Endpoint, error) {
	for e, err := range t.h.dp.Endpoint.Local(t.ctx) {
		if err != nil {
			return nil, err
		}
		for _, p := range e.Allowed {
			if e.VNI == t.vni && len(e.Addrs) > 0 && covers(p, src) {
				t.step("allowed", src.String(), p.String(), "endpoint %s may send from there", e.HostInterface)
				return e, nil
			}
		}
	}
	t.step("allowed", src.String(), "", "no endpoint here may send from there")
	return nil, nil
}

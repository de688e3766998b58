// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mizar-go/mizar/examples/internal/lab"
)

// ears are sniffers on the interfaces of a tenant's workloads.
type ears []*lab.Sniffer

func (f *fleet) listen(tenant string) (_ ears, err error) {
	var e ears
	for name, w := range f.workloads {
		if !strings.HasPrefix(name, tenant+" ") {
			continue
		}
		s, err := w.Sniff(device)
		if err != nil {
			return nil, errors.Join(err, e.close())
		}
		e = append(e, s)
	}
	return e, nil
}

// heard counts the frames that came to the workloads since the last time.
func (e ears) heard() (frames int, err error) {
	for _, s := range e {
		n, err := s.Heard()
		if err != nil {
			return 0, err
		}
		frames += n
	}
	return frames, nil
}

func (e ears) close() (err error) {
	for _, s := range e {
		err = errors.Join(err, s.Close())
	}
	return err
}

// checkApart looks at what blue got of red's traffic, and then has blue send to the same address: what red
// taught the hosts must not count for it, and red must not hear it. It gives the way that blue's first
// packet took.
func (f *fleet) checkApart(ctx context.Context, blue ears) (_ route, err error) {
	frames, err := blue.heard()
	if err != nil {
		return nil, err
	}
	packets, err := f.delivered(ctx, "blue")
	if err != nil {
		return nil, err
	}
	if frames != 0 || packets != 0 {
		return nil, fmt.Errorf("blue heard %d frames and was delivered %d packets while red sent", frames, packets)
	}
	red, err := f.listen("red")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, red.close()) }()
	first, err := f.pingOnce(ctx, f.workloads["blue a1"], f.workloads["blue b1"], bounced("A", "B"), direct("B", "A"))
	if err != nil {
		return nil, fmt.Errorf("first packet of blue: %w", err)
	}
	if frames, err = red.heard(); err == nil && frames != 0 {
		err = fmt.Errorf("red heard %d frames while blue sent", frames)
	}
	return first, err
}

// delivered is how many packets the data-planes have handed to a tenant's endpoints.
func (f *fleet) delivered(ctx context.Context, tenant string) (packets uint64, err error) {
	for _, t := range f.plan.tenants {
		if t.name != tenant {
			continue
		}
		for _, h := range f.hosts {
			for e, err := range h.dp.Stats.Endpoints(ctx) {
				if err != nil {
					return 0, err
				}
				if e.VNI == t.vni {
					packets += e.RxPackets
				}
			}
		}
	}
	return packets, nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/mizar-go/mizar/examples/internal/lab"
)

// showTalk has the workloads of each tenant talk, while the other listens.
func showTalk(ctx context.Context, w *world) error {
	for _, l := range w.workloads {
		if err := l.serve(); err != nil {
			return err
		}
	}
	for i, t := range tenants {
		if err := w.talk(ctx, t.name, tenants[1-i].name); err != nil {
			return err
		}
	}
	return w.shell.expect(ctx, []string{"BOUNCE"}, "--context", "c", "get", "counters")
}

// talk is what a tenant's workloads say to each other. Another tenant, at the same addresses, must hear none of it.
func (w *world) talk(ctx context.Context, tenant, other string) (err error) {
	var ears []*lab.Sniffer
	defer func() {
		for _, e := range ears {
			err = errors.Join(err, e.Close())
		}
	}()
	for _, h := range homes {
		e, err := w.workloads[other+"-"+h.host].Sniff(device)
		if err != nil {
			return err
		}
		ears = append(ears, e)
	}
	a, b := w.workloads[tenant+"-a"], w.workloads[tenant+"-b"]
	if err := a.talk(ctx, b, w.shell); err != nil {
		return err
	}
	if err := b.talk(ctx, a, w.shell); err != nil {
		return err
	}
	for _, e := range ears {
		heard, err := e.Heard()
		if err != nil {
			return err
		}
		if heard > 0 {
			return fmt.Errorf("%s heard %d frames while %s talked", other, heard, tenant)
		}
	}
	w.shell.say("%s, at the same addresses, heard 0 frames of it.", other)
	return nil
}

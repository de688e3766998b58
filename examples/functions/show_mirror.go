// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
)

// showMirror compares what a1 sends with what a2 gets of it.
func showMirror(ctx context.Context, w *world, out io.Writer) (err error) {
	m, err := NewMirror(ctx, w.a.dp, "mirror", w.a2.v4)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unload(ctx, w.a.dp, dataplane.StageSend, w.a1.scope(), m.Function)) }()
	fmt.Fprintf(out, "mirror: a2 gets copies of what a1 sends\n")
	err = w.a.dp.Stage.Set(ctx, dataplane.StageSend, w.a1.scope(), "mirror")
	if w.mode != droplet.TCX {
		if !errors.Is(err, dataplane.ErrNotSupported) {
			return fmt.Errorf("XDP cannot copy packets, and yet: %v", err)
		}
		fmt.Fprintf(out, "  refused: %v\n", err)
		return nil
	}
	if err != nil {
		return err
	}
	const count, port = 50, 53
	sent, err := newTap(w.a1.Namespace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sent.close()) }()
	copies, err := newTap(w.a2.Namespace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, copies.close()) }()
	result, err := w.try(ctx, flow{name: "a1 → b1:53", from: w.a1, to: w.b1.v4, port: port}, count)
	if err != nil {
		return err
	}
	want, err := sent.frames(toPort(port))
	if err != nil {
		return err
	}
	var got [][]byte
	if err := await(ctx, "copies", func() (bool, error) {
		more, err := copies.frames(toPort(port))
		got = append(got, more...)
		return len(got) >= count, err
	}); err != nil {
		return fmt.Errorf("%w: there are %d", err, len(got))
	}
	slices.SortFunc(got, bytes.Compare)
	slices.SortFunc(want, bytes.Compare)
	if !slices.EqualFunc(got, want, bytes.Equal) || len(got) != count {
		return fmt.Errorf("%d copies of %d frames, or other bytes", len(got), len(want))
	}
	made, failed, err := m.Copies()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "  %-30s %s; a2 saw %d copies, to the byte; %d made, %d failed\n", "a1 → b1:53", result, len(got), made, failed)
	return nil
}

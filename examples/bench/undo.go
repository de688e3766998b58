// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"slices"

	"github.com/mizar-go/mizar/examples/internal/lab"
)

// undo is what to take down, the last made first.
type undo []func() error

func (u *undo) push(f func() error) { *u = append(*u, f) }

func (u *undo) run() (err error) {
	for _, f := range slices.Backward(*u) {
		err = errors.Join(err, f())
	}
	*u = nil
	return err
}

func (u *undo) namespace(name string) (*lab.Namespace, error) {
	ns, err := lab.NewNamespace(name)
	if err != nil {
		return nil, err
	}
	u.push(ns.Close)
	return ns, nil
}

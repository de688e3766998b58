// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"

	"github.com/mizar-go/mizar/internal/netns"
)

// What tests of the daemon as a whole, which this package cannot import, use of its tests.
var (
	NewWorld  = newWorld
	Named     = named
	State     = state
	Journaled = journaled
	TextsOf   = textsOf
	File      = file
)

// World is a host in a namespace of its own.
type World = world

func (w *world) Kernel(t testing.TB) []string { return w.kernel(t) }
func (w *world) Here() *netns.Handle          { return w.ns }
func (w *world) There() *netns.Handle         { return w.far }
func (w *world) Options() Options             { return w.options }

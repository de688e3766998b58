// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"

	"google.golang.org/protobuf/proto"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// halfDone is a failure after which not all is as before, as where Open vSwitch went away over a change.
type halfDone struct{ err error }

func (e *halfDone) Error() string { return e.err.Error() }
func (e *halfDone) Unwrap() error { return e.err }

// half makes a failure to put back what was there a halfDone.
func half(err error) error {
	if err == nil {
		return nil
	}
	return &halfDone{err}
}

// left has heal look after what a change that failed left half done: what was asked for shall be there again, and what
// was added for that change go. What is foreign is let alone. The writer calls it.
func (h *Host) left(n name, put, was proto.Message, err error) {
	switch {
	case n.kind == pb.Kind_KIND_ENDPOINT, h.askedFor(n.kind, n.key) != nil:
	case put != nil && was == nil:
		h.going[n] = put
	default:
		return
	}
	h.unrepaired[n] = err.Error()
	for _, m := range []proto.Message{put, was} {
		if e, ok := m.(*pb.LocalEndpoint); ok && e.GetOvs() != nil {
			h.strays[withHostInterface(e).HostInterface] = err.Error() // perhaps
		}
	}
	h.problems.forget()
	select {
	case h.hurt <- struct{}{}:
	default: // it will look anyway
	}
}

// leftOf is left of steps of a plan.
func (h *Host) leftOf(u unit, err error) {
	for _, s := range u {
		if len(s.lines) > 0 {
			h.left(s.name(), s.what.put, s.what.was, err)
		}
	}
}

func isHalf(err error) bool {
	_, is := errors.AsType[*halfDone](err)
	return is
}

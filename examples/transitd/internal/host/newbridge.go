// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"slices"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// comes tells whether a step is refused only for a bridge that is not there, and that the plan makes before.
func (p *plan) comes(s step, err error) bool {
	e, ok := s.what.put.(*pb.LocalEndpoint)
	if !ok || e.GetBridge() == nil || !errors.Is(err, dataplane.ErrNotFound) {
		return false
	}
	return slices.ContainsFunc(p.steps, func(other step) bool {
		return other.does(pb.Kind_KIND_BRIDGE, pb.Action_ACTION_ADD) && other.key() == e.GetBridge().Bridge
	})
}

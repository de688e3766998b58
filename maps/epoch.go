// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"

	"github.com/mizar-go/mizar/bpf"
)

// nextEpoch has programs forget what they keep of the tables beside them: from the next packet on they go by
// what is in the tables now. A time is a number that was never there.
func (s *store) nextEpoch() error {
	now, err := monotonic()
	if err == nil {
		err = s.epochs.put(bpf.TableEpochEPOCH_TABLES, uint64(now))
	}
	if err != nil {
		return fmt.Errorf("have programs look again: %w", err)
	}
	return nil
}

// settled returns when no program goes by what was in the tables before.
func (s *store) settled() error {
	if err := s.nextEpoch(); err != nil {
		return err
	}
	return bpf.Grace()
}

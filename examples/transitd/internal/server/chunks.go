// SPDX-License-Identifier: Apache-2.0

package server

import "iter"

// chunk is how many items are sent in one message.
const chunk = 2000

// chunks sends what comes, many at a time.
func chunks[T any](all iter.Seq2[T, error], send func([]T) error) error {
	var some []T
	for item, err := range all {
		if err != nil {
			return fail(err)
		}
		if some = append(some, item); len(some) == chunk {
			if err := send(some); err != nil {
				return err
			}
			some = some[:0]
		}
	}
	if len(some) == 0 {
		return nil
	}
	return send(some)
}

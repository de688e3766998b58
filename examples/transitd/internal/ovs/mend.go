// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"errors"
	"fmt"
)

// Mend puts back the flows of our ports that are missing, as they are after ovs-vswitchd was started again, and
// tells whose. What is wanted it reads from OVSDB. Call it from time to time: until then, the bridge treats a
// wired port like all others.
func (c *Client) Mend(ctx context.Context) (mended []Port, err error) {
	err = c.through(ctx, func(ctx context.Context) error {
		all, err := c.statuses(ctx)
		if err != nil {
			return err
		}
		var errs []error
		for _, s := range all {
			if s.Wired || s.Bridge == "" || s.Error != "" {
				continue
			}
			var u undo
			if _, err := c.wire(ctx, &u, s.Port); err != nil {
				errs = append(errs, fmt.Errorf("port %s: %w", s.Name, err))
				continue
			}
			mended = append(mended, s.Port)
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return mended, fmt.Errorf("mend ports: %w", err)
	}
	return mended, nil
}

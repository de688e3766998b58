// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"

	"github.com/mizar-go/mizar/examples/transitd/internal/config"
)

// Identity is who calls.
type Identity struct {
	// Name is uid:N for a client of the Unix socket (local, if the kernel does not tell), the name in its
	// certificate that gave it its role (uri:…, dns:…, cn:…), or insecure. Empty: not a call by this package.
	Name string
	// Role is what it may do.
	Role config.Role
}

// From is who made the call that ctx belongs to.
func From(ctx context.Context) Identity {
	return callOf(ctx).who
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"strings"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// KindName is a kind as people write it: local endpoint.
func KindName(k pb.Kind) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(k.String(), "KIND_")), "_", " ")
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"testing"

	"github.com/mizar-go/mizar/internal/testutil"
)

func TestMain(m *testing.M) {
	if false {
		return
	}
	os.Exit(testutil.VerifyMain(m))
}

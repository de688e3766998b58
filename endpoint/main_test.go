// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"os"
	"testing"

	"github.com/mizar-go/mizar/internal/testutil"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimEnv) != "" {
		os.Exit(victim())
	}
	os.Exit(testutil.VerifyMain(m))
}

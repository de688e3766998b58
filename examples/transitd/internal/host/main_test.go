// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"os"
	"testing"

	"github.com/mizar-go/mizar/internal/testutil"
)

func TestMain(m *testing.M) {
	if os.Getenv(childDir) != "" {
		os.Exit(child())
	}
	os.Exit(testutil.VerifyMain(m))
}

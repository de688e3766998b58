// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"os"
	"testing"

	"github.com/mizar-go/mizar/internal/testutil"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		os.Exit(child(what))
	}
	os.Exit(testutil.VerifyMain(m))
}

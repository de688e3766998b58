// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"os"
	"testing"

	"github.com/mizar-go/mizar/internal/testutil"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(testutil.VerifyMain(m))
}

// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	os.Exit(VerifyMain(m))
}

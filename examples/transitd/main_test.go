// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"testing"

	"github.com/mizar-go/mizar/internal/testutil"
)

// asDaemon has the test's own program be the daemon, with a configuration: so it has the test's race detector.
const asDaemon = "TRANSITD_TEST_CONFIG"

func TestMain(m *testing.M) {
	if config := os.Getenv(asDaemon); config != "" {
		os.Args = []string{"transitd", "-config", config}
		main()
		os.Exit(0)
	}
	os.Exit(testutil.VerifyMain(m))
}

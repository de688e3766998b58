// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"os"
	"runtime"
	"testing"

	"github.com/mizar-go/mizar/internal/testutil"
)

// The first thread runs nothing but TestMain: it cannot end, and tests have threads end.
func init() {
	runtime.LockOSThread()
}

func TestMain(m *testing.M) {
	if os.Getenv(waitEnv) != "" {
		wait()
		return
	}
	os.Exit(testutil.VerifyMain(m))
}

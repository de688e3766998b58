// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"os"
	"testing"

	"github.com/mizar-go/mizar/internal/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.VerifyMain(m)) }

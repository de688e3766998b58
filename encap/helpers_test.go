// SPDX-License-Identifier: Apache-2.0

package encap_test

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/encap"
)

// wire reads bytes written in hex, spaces where they help.
func wire(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	require.NoError(t, err)
	return b
}

func option(t testing.TB, r encap.ReturnToSender) encap.Option {
	t.Helper()
	o, err := r.Option(encap.OptionClass)
	require.NoError(t, err)
	return o
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// words is n words of data that differ.
func words(n int) []byte {
	b := make([]byte, 4*n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

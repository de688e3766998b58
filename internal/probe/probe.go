// SPDX-License-Identifier: Apache-2.0

// Package probe is a network function for tests: it tells what it was told of packets, and says of them what it is
// to say.
package probe

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
)

//go:generate env GOWORK=off go tool -modfile=../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -no-global-types -type saw Probe probe.bpf.c -- -O2 -g -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Werror -I/usr/include/x86_64-linux-gnu
//go:generate env GOWORK=off go tool -modfile=../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -no-global-types Empty empty.bpf.c -- -O2 -g -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Werror -I/usr/include/x86_64-linux-gnu

// Verdicts, as function.h has them.
const (
	Next uint32 = iota
	Drop
	Deliver
	Pass
)

// Reason is what it calls its one reason to drop.
const Reason = "probe"

// Spec is of a probe that says a verdict. Of its other variables, mark is added to the byte at where, which counts from
// the inner IP header on, and with grows it changes the packet's length.
func Spec(t testing.TB, says uint32, set map[string]uint32) *ebpf.CollectionSpec {
	t.Helper()
	spec, err := LoadProbe()
	require.NoError(t, err)
	require.NoError(t, spec.Variables["says"].Set(says))
	for name, v := range set {
		require.NoError(t, spec.Variables[name].Set(v))
	}
	return spec
}

// Seen is what a probe saw last, and how many packets since somebody looked.
func Seen(t testing.TB, maps map[string]*ebpf.Map) (s ProbeSaw) {
	t.Helper()
	require.NoError(t, maps["probed"].Lookup(uint32(0), &s))
	require.NoError(t, maps["probed"].Put(uint32(0), ProbeSaw{}))
	return s
}

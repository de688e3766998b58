// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"errors"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// Every cause has its exit code, and where something can be done, what.
func TestErrors(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		cause v1.Cause
		code  connect.Code
		exit  int
		hint  string
	}{
		{v1.Cause_CAUSE_UNSPECIFIED, connect.CodeInternal, exitError, ""},
		{v1.Cause_CAUSE_NOT_FOUND, connect.CodeNotFound, exitNotFound, "`transitctl get vpcs`"},
		{v1.Cause_CAUSE_EXISTS, connect.CodeAlreadyExists, exitConflict, "`transitctl get vpc 7`, replace it with --force"},
		{v1.Cause_CAUSE_FULL, connect.CodeResourceExhausted, exitError, "`transitctl get tables`"},
		{v1.Cause_CAUSE_INVALID, connect.CodeInvalidArgument, exitUsage, "look at vpc.vni"},
		{v1.Cause_CAUSE_NOT_SUPPORTED, connect.CodeUnimplemented, exitError, ""},
		{v1.Cause_CAUSE_PERMISSION, connect.CodePermissionDenied, exitDenied, "capability"},
		{v1.Cause_CAUSE_BUSY, connect.CodeFailedPrecondition, exitConflict, "detach"},
		{v1.Cause_CAUSE_MTU, connect.CodeInvalidArgument, exitUsage, ""},
		{v1.Cause_CAUSE_IN_USE, connect.CodeFailedPrecondition, exitConflict, "in the way"},
		{v1.Cause_CAUSE_TOO_LONG, connect.CodeInvalidArgument, exitUsage, ""},
		{v1.Cause_CAUSE_ABI, connect.CodeInvalidArgument, exitUsage, "function.h"},
		{v1.Cause_CAUSE_VERIFIER, connect.CodeInvalidArgument, exitUsage, ""},
		{v1.Cause_CAUSE_ETAG, connect.CodeAborted, exitConflict, "its etag is e9 now"},
		{v1.Cause_CAUSE_ROLE, connect.CodePermissionDenied, exitDenied, "may only read"},
		{v1.Cause_CAUSE_IDENTITY, connect.CodePermissionDenied, exitDenied, "no role"},
		{v1.Cause_CAUSE_IDENTITY, connect.CodeUnauthenticated, exitDenied, "another certificate"},
		{v1.Cause_CAUSE_RATE, connect.CodeResourceExhausted, exitUnavailable, "try again"},
		{v1.Cause_CAUSE_CLOSING, connect.CodeUnavailable, exitUnavailable, "try again"},
		{v1.Cause_CAUSE_UNAVAILABLE, connect.CodeUnavailable, exitUnavailable, "try again"},
		{v1.Cause_CAUSE_NO_ADDRESS, connect.CodeFailedPrecondition, exitError, "`transitctl add address`"},
		{99, connect.CodeInternal, exitError, ""}, // of a later daemon
	} {
		d := &v1.ErrorDetail{Cause: c.cause, Kind: v1.Kind_KIND_VPC, Key: "7", Etag: "e9", Field: "vpc.vni"}
		b.fail = func(string) error { return refused(c.code, d, "add vpc 7: so it is") }
		b.fails(c.exit, "add vpc 7", "transitctl: add vpc 7: so it is", c.hint)
	}
	// Without a detail the code says it: of a proxy, or another program.
	for code, exit := range map[connect.Code]int{
		connect.CodeNotFound: exitNotFound, connect.CodeAlreadyExists: exitConflict, connect.CodeAborted: exitConflict,
		connect.CodeInvalidArgument: exitUsage, connect.CodeUnauthenticated: exitDenied, connect.CodePermissionDenied: exitDenied,
		connect.CodeUnavailable: exitUnavailable, connect.CodeResourceExhausted: exitUnavailable, connect.CodeInternal: exitError,
		connect.CodeDeadlineExceeded: exitUnavailable, connect.CodeUnimplemented: exitError,
	} {
		b.fail = func(string) error { return connect.NewError(code, errors.New("so it is")) }
		b.fails(exit, "add vpc 7", "transitctl: so it is")
		b.fails(exit, "get endpoints", "transitctl: so it is") // a stream
	}
}

// The verifier's log is printed as it is; but not what would steer a terminal.
func TestVerifierLog(t *testing.T) {
	b := newBench(t)
	b.fail = func(string) error {
		return refused(connect.CodeInvalidArgument, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_VERIFIER}, "load function f: R1 invalid\n0: r1\x1b = 0\n1: exit\n")
	}
	b.file("f.o", "x")
	code, _, err := b.run("create function f -f f.o")
	require.Equal(t, exitUsage, code)
	require.Equal(t, "transitctl: load function f: R1 invalid\n0: r1\ufffd = 0\n1: exit\n", err)
}

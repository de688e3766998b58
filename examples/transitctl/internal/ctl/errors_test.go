// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"bytes"
	"errors"
	"net"
	"syscall"
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
		{v1.Cause_CAUSE_EXISTS, connect.CodeAlreadyExists, exitConflict, "`transitctl get vpc 7 -o yaml`, replace it with --force"},
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
		{v1.Cause_CAUSE_IDENTITY, connect.CodePermissionDenied, exitDenied, "give it one in the daemon"},
		{v1.Cause_CAUSE_IDENTITY, connect.CodeUnauthenticated, exitDenied, "show another with --cert"},
		{v1.Cause_CAUSE_RATE, connect.CodeResourceExhausted, exitUnavailable, "try again"},
		{v1.Cause_CAUSE_CLOSING, connect.CodeUnavailable, exitUnavailable, "try again"},
		{v1.Cause_CAUSE_UNAVAILABLE, connect.CodeUnavailable, exitUnavailable, "see that it runs"},
		{v1.Cause_CAUSE_UNAVAILABLE, connect.CodeFailedPrecondition, exitUnavailable, ""},
		{v1.Cause_CAUSE_NO_ADDRESS, connect.CodeFailedPrecondition, exitError, "`transitctl add address`"},
		{99, connect.CodeInternal, exitError, ""}, // of a later daemon
	} {
		d := &v1.ErrorDetail{Cause: c.cause, Kind: v1.Kind_KIND_VPC, Key: "7", Etag: "e9", Field: "vpc.vni"}
		b.fail = func(string) error { return refused(c.code, d, "add vpc 7: so it is") }
		line := "add vpc 7"
		if c.cause == v1.Cause_CAUSE_NOT_FOUND {
			line = "delete vpc 7"
		}
		b.fails(c.exit, line, "transitctl: add vpc 7: so it is", c.hint)
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

// What is said to be done can be: of a write, of what somebody else made, and in the words of the command line.
func TestHints(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		line string
		code connect.Code
		d    *v1.ErrorDetail
		text string
		want string
	}{
		// What a write does not find is what it needs.
		{
			"create endpoint 7/10.0.0.1/24 --netns web", connect.CodeNotFound, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_NOT_FOUND, Kind: v1.Kind_KIND_LOCAL_ENDPOINT},
			"namespace web: not found", "namespace web: not found: make it first, or name another",
		},
		// --force is for what has an etag.
		{
			"add address eth0/192.0.2.1/24", connect.CodeAlreadyExists, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_EXISTS, Kind: v1.Kind_KIND_ADDRESS, Key: "k"},
			"made by somebody else", "made by somebody else",
		},
		{"add vpc 7 --etag e1", connect.CodeAborted, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_ETAG, Kind: v1.Kind_KIND_VPC, Key: "7"}, "changed", "changed: it is not there any more"},
		// A field is behind a flag, or named already.
		{"add endpoint 7/10.0.0.1", connect.CodeInvalidArgument, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_INVALID, Field: "host"}, "host: it is not given", "host: it is not given: look at --at"},
		{
			"add vpc 7 --divider x", connect.CodeInvalidArgument, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_INVALID, Field: "dividers[0]"},
			`dividers[0]: "x" is no address`, `dividers[0]: "x" is no address: look at --divider`,
		},
		{"add peer 1", connect.CodeInvalidArgument, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_INVALID, Field: "prefix"}, `prefix: "1" is none`, `prefix: "1" is none`},
		{
			"apply -f host.yaml", connect.CodeInvalidArgument, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_INVALID, Field: "state.functions[0].object"},
			"it is not given", "host.yaml:4: it is not given: name its file with objectFile; of `transitctl get state`, --objects has it",
		},
		// Where in the files it is, of which there may be several.
		{
			"apply -f host.yaml -f host.yaml", connect.CodeInvalidArgument, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_INVALID, Field: "state.local_endpoints[3].mac"},
			"local endpoint: state.local_endpoints[3].mac: it is none", "host.yaml:11: local endpoint: state.local_endpoints[3].mac: it is none",
		},
		{
			"apply -f host.yaml", connect.CodeInvalidArgument, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_INVALID, Field: "state.vpcs[7]"},
			"state.vpcs[7]: so it is", "state.vpcs[7]: so it is",
		},
		// The daemon's clock was first.
		{
			"add vpc 7", connect.CodeDeadlineExceeded, &v1.ErrorDetail{}, "context deadline exceeded",
			"no answer in time: give it more time with --timeout; it may be done all the same, and can be asked for again",
		},
	} {
		b.file("host.yaml", "vpcs: []\nnetworks:\nfunctions:\n- name: f\n---\nlocal_endpoints:\n-\n  vni: 7\n---\nlocalEndpoints:\n- vni: 8\n")
		b.fail = func(string) error { return refused(c.code, c.d, "%s", c.text) }
		_, _, err := b.run(c.line)
		require.Equal(t, "transitctl: "+c.want+"\n", err, c.line)
	}
}

// A daemon that is killed in the middle may have done what it was asked for.
func TestLost(t *testing.T) {
	for _, err := range []error{
		connect.NewError(connect.CodeInternal, errors.New("protocol error: incomplete envelope: http2: client conn is closed")),
		connect.NewError(connect.CodeUnavailable, &net.OpError{Op: "read", Err: syscall.ECONNRESET}),
	} {
		var out bytes.Buffer
		c := &cli{ctx: t.Context(), err: &out, at: "unix:///d.sock", begun: "give it again"}
		require.Equal(t, exitUnavailable, c.report(err))
		require.Equal(t, "transitctl: reach unix:///d.sock: the connection broke: try again in a moment; give it again\n", out.String())
	}
}

// Several keys are several calls; where nobody answers, one is enough to know.
func TestHopeless(t *testing.T) {
	b := newBench(t)
	for _, verb := range []string{"get", "delete"} {
		b.fails(exitUnavailable, verb+" vpc 7 8 --host unix:///nowhere.sock", "no such socket")
		b.fail = func(string) error {
			return refused(connect.CodePermissionDenied, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_ROLE}, "no")
		}
		b.fails(exitDenied, verb+" vpc 7 8", "may only read")
		b.fail = nil
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

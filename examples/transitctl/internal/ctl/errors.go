// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"

	"connectrpc.com/connect"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// Exit codes.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2 // what was asked for makes no sense: the command line, a file, a value
	exitNotFound    = 3
	exitConflict    = 4 // it is there already, has changed since it was read, or is in use
	exitDenied      = 5
	exitUnavailable = 6 // the daemon, or a part of its host, does not answer: try again
)

const exitHelp = `Exit codes: 0 done; 1 error; 2 usage: the command line, a file or a value makes no sense; 3 not found;
4 conflict: it is there already and differs, has changed, or is in use; 5 denied; 6 unavailable: try again.`

// usageError is the caller's mistake.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// writeError is of a write: what it speaks of may be what is missing, not what is written.
type writeError struct {
	error
	noun  *noun  // nil: several
	where string // in a file; empty: not known
}

func (e writeError) Unwrap() error { return e.error }

// exitCode ends the program with a code, and says nothing: what there was to say was said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// report says what went wrong, in one line with what to do next, and has the exit code.
func (c *cli) report(err error) int {
	if err == nil {
		return exitOK
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		code := exitOK
		for _, e := range joined.Unwrap() {
			if one := c.report(e); code == exitOK {
				code = one
			}
		}
		return code
	}
	if code := exitCode(0); errors.As(err, &code) {
		return int(code)
	}
	code, text, hint := c.explain(err)
	var hints []string
	if hint != "" {
		hints = append(hints, hint)
	}
	if c.begun != "" && (text == interrupted || strings.Contains(text, late) || strings.Contains(text, lost)) {
		hints = append(hints, c.begun)
	}
	if len(hints) > 0 {
		text += ": " + strings.Join(hints, "; ")
	}
	fmt.Fprintln(c.err, c.palette(c.err).paint(red, "transitctl:"), text)
	return code
}

const (
	interrupted = "interrupted"
	late        = "no answer in time"
	lost        = "the connection broke"
)

// hopeless tells whether the next of several calls would fail as this one did.
func hopeless(ctx context.Context, err error) bool {
	switch connect.CodeOf(err) {
	case connect.CodeUnavailable, connect.CodeUnauthenticated, connect.CodePermissionDenied:
		return true
	}
	return ctx.Err() != nil
}

// explain has an error's exit code, what it says, and what to do next.
func (c *cli) explain(err error) (code int, text, hint string) {
	var wrong usageError
	var write writeError
	var refused *connect.Error
	writes := errors.As(err, &write)
	switch {
	case errors.As(err, &wrong):
		return exitUsage, clean(err.Error()), ""
	case errors.Is(err, context.Canceled) && c.ctx.Err() != nil:
		return exitError, interrupted, ""
	case errors.As(err, &refused):
		if d := detail(refused); d != nil && d.GetCause() != v1.Cause_CAUSE_UNSPECIFIED {
			text = message(refused, d)
			switch {
			case writes && d.GetCause() == v1.Cause_CAUSE_NOT_FOUND:
				return exitNotFound, text, "make it first, or name another"
			case d.GetCause() == v1.Cause_CAUSE_INVALID:
				hint = fieldHint(d.GetField(), text, write.noun)
				if write.where != "" {
					text = clean(write.where) + ": " + text
				}
				return exitUsage, text, hint
			}
			code, hint = c.advise(d, refused.Code())
			return code, text, hint
		}
		code, text, hint := c.unreached(err)
		broken := refused.Code() == connect.CodeUnavailable || text != "" && refused.Code() != connect.CodeDeadlineExceeded
		if c.refusal != nil && broken && code != exitDenied {
			if code, text, hint := c.unreached(c.refusal()); code == exitDenied {
				return code, text, hint
			}
		}
		if text != "" {
			return code, text, hint
		}
		code, hint = byCode(refused.Code())
		if refused.Message() == context.DeadlineExceeded.Error() { // the daemon's side of our time limit was first
			return code, late, hint
		}
		return code, message(refused, nil), hint
	}
	if code, text, hint := c.unreached(err); text != "" {
		return code, text, hint
	}
	return exitError, clean(err.Error()), ""
}

var index = regexp.MustCompile(`\[\d+\]`)

// fieldHint says where the field is that is wrong: behind a flag, or as the API calls it if the text does not say so.
func fieldHint(field, text string, n *noun) string {
	if n != nil && field != "" {
		for _, f := range n.flags {
			if f.path == index.ReplaceAllString(field, "") {
				return "look at --" + f.name
			}
		}
	}
	switch {
	case strings.HasPrefix(field, "state.functions") && strings.HasSuffix(field, ".object"):
		return "name its file with objectFile; of `transitctl get state`, --objects has it"
	case field == "" || strings.Contains(text, field+": "):
		return ""
	}
	return "look at " + clean(field)
}

// message is what the daemon says. The verifier's log keeps its lines: they are what it is read for.
func message(e *connect.Error, d *v1.ErrorDetail) string {
	if d.GetCause() != v1.Cause_CAUSE_VERIFIER {
		return clean(e.Message())
	}
	lines := strings.Split(strings.TrimRight(e.Message(), "\n"), "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

func detail(e *connect.Error) *v1.ErrorDetail {
	for _, d := range e.Details() {
		if m, err := d.Value(); err == nil {
			if d, ok := m.(*v1.ErrorDetail); ok {
				return d
			}
		}
	}
	return nil
}

// advise knows what to do about an error of the daemon.
func (c *cli) advise(d *v1.ErrorDetail, of connect.Code) (code int, hint string) {
	all, one := "see what there is with `transitctl get state`", "look with `transitctl get state -o wide`"
	if n := c.ofKind(d.GetKind()); n != nil {
		all = fmt.Sprintf("see what there is with `transitctl get %s`", n.plural)
		one = "look with `transitctl get " + n.plural + "`"
		if d.GetKey() != "" {
			one = fmt.Sprintf("look with `transitctl get %s %s -o yaml`", n.name, clean(d.GetKey()))
		}
	}
	switch d.GetCause() {
	case v1.Cause_CAUSE_NOT_FOUND:
		if d.GetKind() == v1.Kind_KIND_ENDPOINT {
			all += "; those that live here are local-endpoints"
		}
		return exitNotFound, all
	case v1.Cause_CAUSE_EXISTS:
		if d.GetEtag() == "" { // it is somebody else's, or of another kind
			return exitConflict, ""
		}
		return exitConflict, one + ", replace it with --force"
	case v1.Cause_CAUSE_ETAG:
		if d.GetEtag() == "" {
			return exitConflict, "it is not there any more"
		}
		return exitConflict, one + ", its etag is " + clean(d.GetEtag()) + " now"
	case v1.Cause_CAUSE_FULL:
		return exitError, "see how full the tables are with `transitctl get tables`"
	case v1.Cause_CAUSE_PERMISSION:
		return exitDenied, "the daemon lacks a capability: its unit has to give it"
	case v1.Cause_CAUSE_BUSY:
		return exitConflict, "another program is attached there: detach it first"
	case v1.Cause_CAUSE_IN_USE:
		if d.GetKind() != v1.Kind_KIND_FUNCTION {
			return exitConflict, "take away first what is in the way"
		}
		return exitConflict, "see where with `transitctl get stages`, and take it out there first"
	case v1.Cause_CAUSE_ROLE:
		return exitDenied, "this client may only read: use a context whose certificate may write"
	case v1.Cause_CAUSE_IDENTITY:
		if of == connect.CodeUnauthenticated {
			return exitDenied, "show another with --cert and --key, or by another --context"
		}
		return exitDenied, "give it one in the daemon's configuration, or show another with --cert and --key"
	case v1.Cause_CAUSE_RATE, v1.Cause_CAUSE_CLOSING:
		return exitUnavailable, "try again in a moment"
	case v1.Cause_CAUSE_UNAVAILABLE:
		if of == connect.CodeUnavailable {
			return exitUnavailable, "see that it runs, and where its socket is: ovs.socket in the daemon's configuration"
		}
		return exitUnavailable, ""
	case v1.Cause_CAUSE_NO_ADDRESS:
		return exitError, "give the interface an address with `transitctl add address`"
	case v1.Cause_CAUSE_ABI:
		return exitUsage, "compile it with the function.h of the daemon's version: see `transitctl version`"
	}
	code, _ = byCode(of)
	return code, ""
}

// byCode is for errors that bear no detail: of what stands between, or of another program.
func byCode(code connect.Code) (exit int, hint string) {
	switch code {
	case connect.CodeNotFound:
		return exitNotFound, ""
	case connect.CodeAlreadyExists, connect.CodeAborted, connect.CodeFailedPrecondition:
		return exitConflict, ""
	case connect.CodeInvalidArgument:
		return exitUsage, ""
	case connect.CodeUnauthenticated, connect.CodePermissionDenied:
		return exitDenied, "see which certificate is shown with `transitctl config view`"
	case connect.CodeDeadlineExceeded:
		return exitUnavailable, "give it more time with --timeout"
	case connect.CodeUnavailable, connect.CodeResourceExhausted:
		return exitUnavailable, "try again in a moment"
	case connect.CodeUnimplemented:
		return exitError, "the daemon knows no such call: compare with `transitctl version`"
	}
	return exitError, ""
}

// brokenOff is what connect says of a stream, and net/http of a connection, that has no end.
var brokenOff = regexp.MustCompile(`incomplete envelope|client conn could not be established`)

// unreached explains why there is no connection. Text is empty where there is one.
func (c *cli) unreached(err error) (code int, text, hint string) {
	const where = "say which host with --host or --context"
	at := "reach " + clean(c.at) + ": "
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &unknown):
		return exitDenied, at + "nobody that is trusted signed the daemon's certificate", "name who does with --ca"
	case errors.As(err, &name):
		return exitDenied, at + clean(name.Error()), "if it is the right host, name it as its certificate does with --server-name"
	case errors.As(err, &invalid):
		return exitDenied, at + clean(invalid.Error()), ""
	case errors.As(err, &op) && op.Op == "remote error": // a TLS alert: the daemon did not like ours
		return exitDenied, at + "it refused the client's certificate: " + clean(op.Err.Error()), "give another with --cert and --key"
	case errors.Is(err, fs.ErrNotExist) && errors.As(err, &op):
		return exitUnavailable, at + "there is no such socket", "is transitd running here? If elsewhere, " + where
	case errors.Is(err, fs.ErrPermission) && errors.As(err, &op):
		return exitDenied, at + "its socket is for root and its group only", "become one of them"
	case errors.Is(err, syscall.ECONNREFUSED):
		return exitUnavailable, at + "nobody listens", "is transitd running there?"
	case errors.As(err, &dns):
		return exitUnavailable, at + "no such name", where
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return exitUnavailable, at + late, "give it more with --timeout"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record), strings.Contains(err.Error(), "looked like an HTTP/1.1 header"):
		return exitUnavailable, at + "what listens there is no transitd, or not in this way", "look at the port, and whether it is https"
	case errors.As(err, &op) && (op.Op == "read" || op.Op == "write"), brokenOff.MatchString(err.Error()):
		return exitUnavailable, at + lost, "try again in a moment"
	case errors.As(err, &op):
		return exitUnavailable, at + clean(op.Err.Error()), ""
	}
	return 0, "", ""
}

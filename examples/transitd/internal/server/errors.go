// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"strings"

	"connectrpc.com/connect"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
	"github.com/mizar-go/mizar/examples/transitd/internal/plumb"
)

// meanings are what the library's errors, and the daemon's, are to a client. The first that matches counts.
var meanings = []struct {
	err   error
	code  connect.Code
	cause pb.Cause
}{
	{host.ErrEtag, connect.CodeAborted, pb.Cause_CAUSE_ETAG},
	{host.ErrDiffers, connect.CodeAlreadyExists, pb.Cause_CAUSE_EXISTS},
	{host.ErrInUse, connect.CodeFailedPrecondition, pb.Cause_CAUSE_IN_USE},
	{ovs.ErrUnavailable, connect.CodeUnavailable, pb.Cause_CAUSE_UNAVAILABLE},
	{ovs.ErrRefused, connect.CodeFailedPrecondition, pb.Cause_CAUSE_UNAVAILABLE},
	{plumb.ErrInUse, connect.CodeFailedPrecondition, pb.Cause_CAUSE_IN_USE},
	{dataplane.ErrInUse, connect.CodeFailedPrecondition, pb.Cause_CAUSE_IN_USE},
	{dataplane.ErrTooLong, connect.CodeFailedPrecondition, pb.Cause_CAUSE_TOO_LONG},
	{dataplane.ErrClosed, connect.CodeUnavailable, pb.Cause_CAUSE_CLOSING},
	{dataplane.ErrPermission, connect.CodeInternal, pb.Cause_CAUSE_PERMISSION}, // the daemon's, not the client's
	{dataplane.ErrFull, connect.CodeResourceExhausted, pb.Cause_CAUSE_FULL},
	{droplet.ErrBusy, connect.CodeFailedPrecondition, pb.Cause_CAUSE_BUSY},
	{droplet.ErrNoInterface, connect.CodeNotFound, pb.Cause_CAUSE_NOT_FOUND},
	{droplet.ErrNoAddress, connect.CodeFailedPrecondition, pb.Cause_CAUSE_NO_ADDRESS},
	{droplet.ErrMTU, connect.CodeInvalidArgument, pb.Cause_CAUSE_MTU},
	{endpoint.ErrMTU, connect.CodeInvalidArgument, pb.Cause_CAUSE_MTU},
	{dataplane.ErrABI, connect.CodeInvalidArgument, pb.Cause_CAUSE_ABI},
	{dataplane.ErrInvalid, connect.CodeInvalidArgument, pb.Cause_CAUSE_INVALID},
	{dataplane.ErrExists, connect.CodeAlreadyExists, pb.Cause_CAUSE_EXISTS},
	{dataplane.ErrNotFound, connect.CodeNotFound, pb.Cause_CAUSE_NOT_FOUND},
	{dataplane.ErrNotSupported, connect.CodeUnimplemented, pb.Cause_CAUSE_NOT_SUPPORTED},
	// What the kernel says of an address, a route or an interface that was asked for.
	{unix.EINVAL, connect.CodeInvalidArgument, pb.Cause_CAUSE_INVALID},
	{unix.ENETUNREACH, connect.CodeFailedPrecondition, pb.Cause_CAUSE_INVALID},
	{unix.EHOSTUNREACH, connect.CodeFailedPrecondition, pb.Cause_CAUSE_INVALID},
	{unix.EADDRNOTAVAIL, connect.CodeInvalidArgument, pb.Cause_CAUSE_INVALID},
	{unix.ENOSPC, connect.CodeResourceExhausted, pb.Cause_CAUSE_FULL}, // the disk
	{context.Canceled, connect.CodeCanceled, pb.Cause_CAUSE_UNSPECIFIED},
	{context.DeadlineExceeded, connect.CodeDeadlineExceeded, pb.Cause_CAUSE_UNSPECIFIED},
}

// maxText is of an error's message: a verifier's log may be megabytes, and headers bear it.
const maxText = 4000

// fail gives an error its code and its detail.
func fail(err error) error {
	if err == nil {
		return nil
	}
	code, detail := connect.CodeInternal, &pb.ErrorDetail{}
	if of, ok := errors.AsType[*host.Error](err); ok {
		detail.Kind, detail.Key, detail.Etag, detail.Field = of.Kind, of.Key, of.Etag, of.Field
	}
	text := err.Error()
	verifier, refused := errors.AsType[*ebpf.VerifierError](err)
	switch {
	case refused:
		code, detail.Cause = connect.CodeInvalidArgument, pb.Cause_CAUSE_VERIFIER
		for _, line := range verifier.Log[max(0, len(verifier.Log)-20):] { // the end says why
			text += "\n" + line
		}
	default:
		for _, m := range meanings {
			if errors.Is(err, m.err) {
				code, detail.Cause = m.code, m.cause
				break
			}
		}
	}
	if len(text) > maxText {
		text = text[:maxText] + " ..."
	}
	text = strings.ToValidUTF8(text, "?") // cut in the middle of a character, or a name in an object: no protobuf has that
	out := connect.NewError(code, errors.New(text))
	if d, err := connect.NewErrorDetail(detail); err == nil {
		out.AddDetail(d)
	}
	return out
}

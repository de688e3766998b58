// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"errors"

	"connectrpc.com/connect"
	dataplanev1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// refusal is an error as the API has them.
func refusal(code connect.Code, cause dataplanev1.Cause, reason string) *connect.Error {
	err := connect.NewError(code, errors.New(reason))
	if d, e := connect.NewErrorDetail(&dataplanev1.ErrorDetail{Cause: cause}); e == nil {
		err.AddDetail(d)
	}
	return err
}

func unauthenticated(reason string) *connect.Error {
	return refusal(connect.CodeUnauthenticated, dataplanev1.Cause_CAUSE_IDENTITY, reason)
}

func closing() *connect.Error {
	return refusal(connect.CodeUnavailable, dataplanev1.Cause_CAUSE_CLOSING, "the daemon is ending")
}

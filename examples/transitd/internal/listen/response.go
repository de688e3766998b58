// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"net/http"
	"strconv"

	"connectrpc.com/connect"
)

// response remembers of an answer what tells its code. Mostly the handler's error does, but what fails before
// the handler, such as a message that is too large, is seen on the wire only.
type response struct {
	http.ResponseWriter
	status int
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Flush is what streams look for.
func (w *response) Flush() {
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// code is the answer's, as its protocol has it. gRPC-Web has trailers in the body, but for an error before all
// messages, which is in the header.
func (w *response) code() string {
	for _, key := range []string{"Grpc-Status", http.TrailerPrefix + "Grpc-Status"} {
		if v := w.Header()[key]; len(v) > 0 {
			return ofGRPC(v[0])
		}
	}
	return ofHTTP(w.status)
}

func ofGRPC(status string) string {
	n, err := strconv.Atoi(status)
	switch {
	case err != nil:
		return unknown
	case n == 0:
		return ok
	}
	return connect.Code(n).String()
}

func ofHTTP(status int) string {
	switch status {
	case 0, http.StatusOK:
		return ok
	case http.StatusBadRequest:
		return connect.CodeInvalidArgument.String()
	case http.StatusNotFound, http.StatusNotImplemented:
		return connect.CodeUnimplemented.String()
	case http.StatusTooManyRequests:
		return connect.CodeResourceExhausted.String()
	case http.StatusInternalServerError:
		return connect.CodeInternal.String()
	case http.StatusGatewayTimeout:
		return connect.CodeDeadlineExceeded.String()
	case 499:
		return connect.CodeCanceled.String()
	}
	return "http_" + strconv.Itoa(status)
}

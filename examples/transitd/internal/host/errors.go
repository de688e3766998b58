// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

var (
	// ErrEtag: the resource is another by now than the one that the etag was read of.
	ErrEtag = errors.New("has changed since it was read")
	// ErrDiffers: the resource is there, says something else, and no etag was given.
	ErrDiffers = errors.New("is there already and differs")
	// ErrInUse: a function is in a chain, so another object cannot take its place.
	ErrInUse = errors.New("is in a chain: load the new object under another name, and set the chain")
)

// Error says of which resource an error speaks.
type Error struct {
	Kind  pb.Kind
	Key   string // empty: the request as a whole
	Etag  string // that it has now, where that matters; empty: not known
	Field string // of the request that is wrong; empty: not one
	Err   error
}

// Error names the resource, and what is wrong with it.
func (e *Error) Error() string {
	text := e.Err.Error()
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Kind == pb.Kind_KIND_UNSPECIFIED { // the request as a whole
		return text
	}
	what := KindName(e.Kind)
	if e.Key != "" {
		what += " " + e.Key
	}
	return what + ": " + text
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

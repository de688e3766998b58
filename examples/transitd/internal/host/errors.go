// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"strings"

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
	Key   string // empty: the request as a whole, or the state of the host
	Etag  string // that it has now, where that matters; empty: not known
	Field string // of the request that is wrong; empty: not one
	Err   error
}

// Error names the resource, and what is wrong with it.
func (e *Error) Error() string {
	var parts []string
	switch {
	case e.Kind == pb.Kind_KIND_UNSPECIFIED && e.Field == "":
		parts = append(parts, "state")
	case e.Kind != pb.Kind_KIND_UNSPECIFIED:
		parts = append(parts, strings.TrimSpace(KindName(e.Kind)+" "+e.Key))
	}
	if e.Field != "" {
		parts = append(parts, e.Field)
	}
	return strings.Join(append(parts, e.Err.Error()), ": ")
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

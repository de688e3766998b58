// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// spec is what the engine has to know of a kind of resource. M is its message.
type spec[M proto.Message] struct {
	kind pb.Kind
	// key is of a message that was checked.
	key func(M) string
	// check brings a message into the form that equal ones share, or says what is wrong with it.
	check func(M) error
	// get reads one, with its status: [dataplane.ErrNotFound].
	get func(ctx context.Context, m M) (M, error)
	// list reads all, with their status.
	list func(ctx context.Context) iter.Seq2[M, error]
	// put adds one, or replaces the one that is there (else nil). It gives the status. If it fails, all is as before.
	put func(ctx context.Context, want, have M) (M, error)
	// remove removes one that is there.
	remove func(ctx context.Context, have M) error
	// putAll and removeAll are for many at once, of a kind of which each by itself would take its time; nil: it does not.
	// Those before one that fails stay.
	putAll, removeAll func(ctx context.Context, all []M) error
	// ready finds what put would be refused for, before anything is written down; nil: nothing.
	ready func(ctx context.Context, want, have M) error
	// keep remembers what goes with one that is removed, and gives back what puts that back; nil: nothing does.
	keep func(ctx context.Context, have M) (restore func(ctx context.Context, now M) error, err error)
	// fits compares as far as the kernel can tell what was asked for.
	fits func(ctx context.Context, want, have M) bool
	// hidden: there is more to it than the kernel can tell, so what was asked for is compared, too.
	hidden bool
	// broken says what is wrong with one that is there; nil, or empty: nothing.
	broken func(M) string
	// lacks is broken for one that is whole, as far as it is known by what was asked for; nil: nothing.
	lacks func(context.Context, M) string
	// lend has a foreign one bear what the kernel does not tell, as it is wanted: if it has to be made anew, that is
	// the best that is known; nil: the kernel tells all.
	lend func(foreign, want M) M
	// unseen: that one is there says nothing of what it is, unless that is known.
	unseen bool
	// tidy removes what may be left of one that is not there; nil: nothing is.
	tidy func(ctx context.Context, asked M) error
	// gap tells whether replacing one loses its packets meanwhile; nil: no.
	gap func(want, have, seen M) bool
	// of are the resources of this kind in a state.
	of func(*pb.State) *[]M
	// phase is when it is added among the other kinds; removing goes the other way. See order.go.
	phase func(M) int
}

// have is a resource that is there.
type have struct {
	key    string
	seen   proto.Message // as the kernel tells
	msg    proto.Message // as it was asked for, where that is known and more than the kernel can tell; with its status
	own    bool          // somebody asked for it
	broken string        // what is wrong with it
	lame   bool          // that is what it lacks, as far as can be seen now; it is there
	fresh  bool          // it is of a change of ours that was cut short
}

// etag of what is there.
func (h *have) etag() string { return etag(sum(bare(h.msg))) }

// kind is spec without its type parameter.
type kind interface {
	id() pb.Kind
	keyOf(m proto.Message) string
	checked(m proto.Message) (proto.Message, string, error)
	read(ctx context.Context, m proto.Message) (*have, error)
	all(ctx context.Context) (map[string]*have, error)
	same(ctx context.Context, want proto.Message, h *have, asked proto.Message) bool
	loses(want proto.Message, h *have) bool
	write(ctx context.Context, want proto.Message, h *have) (proto.Message, error)
	unwrite(ctx context.Context, h *have) error
	takesMany() bool
	writeAll(ctx context.Context, all []proto.Message) error
	unwriteAll(ctx context.Context, all []proto.Message) error
	refuses(ctx context.Context, want proto.Message, h *have) error
	keeps(ctx context.Context, h *have) (restore func(ctx context.Context, now proto.Message) error, err error)
	in(s *pb.State) iter.Seq2[int, proto.Message]
	into(s *pb.State, m proto.Message)
	when(m proto.Message) int
	overlay(ctx context.Context, h *have, asked proto.Message)
	message() protoreflect.FullName
	foreign(ctx context.Context, h *have, want proto.Message)
	tidied(ctx context.Context, asked proto.Message) error
}

func (s *spec[M]) id() pb.Kind { return s.kind }
func (s *spec[M]) message() protoreflect.FullName {
	var m M
	return m.ProtoReflect().Descriptor().FullName()
}
func (s *spec[M]) keyOf(m proto.Message) string { return s.key(m.(M)) }
func (s *spec[M]) when(m proto.Message) int     { return s.phase(m.(M)) }

// checked gives a bare copy of what a client sent, in the form that equal ones share.
func (s *spec[M]) checked(m proto.Message) (proto.Message, string, error) {
	sent, ok := m.(M)
	if !ok || !m.ProtoReflect().IsValid() {
		return nil, "", &Error{Kind: s.kind, Err: wrong("", "it is not given")}
	}
	c := bare(sent)
	if err := s.check(c); err != nil {
		return nil, "", &Error{Kind: s.kind, Field: fieldOf(err), Err: err}
	}
	return c, s.key(c), nil
}

func (s *spec[M]) observed(m M) *have {
	h := &have{key: s.key(m), seen: m, msg: m}
	if s.broken != nil {
		h.broken = s.broken(m)
	}
	return h
}

// read gives nil where there is none. m is of the resource's key at least.
func (s *spec[M]) read(ctx context.Context, m proto.Message) (*have, error) {
	got, err := s.get(ctx, m.(M))
	if errors.Is(err, dataplane.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, &Error{Kind: s.kind, Key: s.key(m.(M)), Field: fieldOf(err), Err: err}
	}
	return s.observed(got), nil
}

func (s *spec[M]) all(ctx context.Context) (map[string]*have, error) {
	found := make(map[string]*have)
	for m, err := range s.list(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list: %w", &Error{Kind: s.kind, Err: err})
		}
		h := s.observed(m)
		found[h.key] = h
	}
	return found, nil
}

// same tells whether what is there, if it is whole, is what is wanted. asked is what the one that is there was asked for by; nil: not
// known.
func (s *spec[M]) same(ctx context.Context, want proto.Message, h *have, asked proto.Message) bool {
	if s.unseen && asked == nil && !h.fresh {
		return false
	}
	return s.fits(ctx, want.(M), h.seen.(M)) && (!s.hidden || asked == nil || proto.Equal(bare(want), bare(asked)))
}

// foreign looks at one that nobody asked for, and that is wanted now.
func (s *spec[M]) foreign(ctx context.Context, h *have, want proto.Message) {
	if h.broken == "" && s.lacks != nil && s.fits(ctx, want.(M), h.seen.(M)) {
		h.broken = s.lacks(ctx, withStatus(want.(M), h.seen.(M)))
	}
	if s.lend != nil {
		h.msg = s.lend(h.seen.(M), want.(M))
	}
}

func (s *spec[M]) tidied(ctx context.Context, asked proto.Message) error {
	if s.tidy == nil {
		return nil
	}
	return s.tidy(ctx, asked.(M))
}

func (s *spec[M]) loses(want proto.Message, h *have) bool {
	return s.gap != nil && s.gap(want.(M), h.msg.(M), h.seen.(M))
}

// write gives what was asked for with the status that it got.
func (s *spec[M]) write(ctx context.Context, want proto.Message, h *have) (proto.Message, error) {
	var there M
	if h != nil {
		there = h.msg.(M)
	}
	got, err := s.put(ctx, want.(M), there)
	if _, ok := errors.AsType[*Error](err); ok {
		return nil, fmt.Errorf("%s %s: %w", KindName(s.kind), s.key(want.(M)), err)
	}
	if err != nil {
		return nil, &Error{Kind: s.kind, Key: s.key(want.(M)), Err: err}
	}
	return got, nil
}

func (s *spec[M]) unwrite(ctx context.Context, h *have) error {
	if err := s.remove(ctx, h.msg.(M)); err != nil {
		return &Error{Kind: s.kind, Key: h.key, Err: err}
	}
	return nil
}

func (s *spec[M]) takesMany() bool { return s.putAll != nil }

// writeAll writes many that were checked, whatever is there.
func (s *spec[M]) writeAll(ctx context.Context, all []proto.Message) error {
	return s.many(ctx, all, s.putAll)
}

// unwriteAll removes those of many that are there.
func (s *spec[M]) unwriteAll(ctx context.Context, all []proto.Message) error {
	err := s.many(ctx, all, s.removeAll)
	if errors.Is(err, dataplane.ErrNotFound) {
		return nil
	}
	return err
}

func (s *spec[M]) many(ctx context.Context, all []proto.Message, do func(context.Context, []M) error) error {
	if len(all) == 0 {
		return nil
	}
	typed := make([]M, len(all))
	for i, m := range all {
		typed[i] = m.(M)
	}
	if err := do(ctx, typed); err != nil {
		return &Error{Kind: s.kind, Err: err}
	}
	return nil
}

// refuses tells what would fail for sure.
func (s *spec[M]) refuses(ctx context.Context, want proto.Message, h *have) error {
	if s.ready == nil {
		return nil
	}
	var there M
	if h != nil {
		there = h.msg.(M)
	}
	if err := s.ready(ctx, want.(M), there); err != nil {
		return &Error{Kind: s.kind, Key: s.key(want.(M)), Field: fieldOf(err), Err: err}
	}
	return nil
}

func (s *spec[M]) keeps(ctx context.Context, h *have) (func(context.Context, proto.Message) error, error) {
	if s.keep == nil {
		return func(context.Context, proto.Message) error { return nil }, nil
	}
	restore, err := s.keep(ctx, h.msg.(M))
	if err != nil {
		return nil, &Error{Kind: s.kind, Key: h.key, Err: err}
	}
	return func(ctx context.Context, now proto.Message) error { return restore(ctx, now.(M)) }, nil
}

// overlay makes it one's own that somebody asked for.
func (s *spec[M]) overlay(ctx context.Context, h *have, asked proto.Message) {
	h.own = true
	if s.hidden {
		h.msg = withStatus(asked.(M), h.seen.(M))
	}
	if h.broken == "" && s.lacks != nil {
		h.broken = s.lacks(ctx, h.msg.(M))
		h.lame = h.broken != ""
	}
}

func (s *spec[M]) in(state *pb.State) iter.Seq2[int, proto.Message] {
	return func(yield func(int, proto.Message) bool) {
		for i, m := range *s.of(state) {
			if !yield(i, m) {
				return
			}
		}
	}
}

func (s *spec[M]) into(state *pb.State, m proto.Message) {
	all := s.of(state)
	*all = append(*all, m.(M))
}

// withStatus is what was asked for with the status of what is there.
func withStatus[M proto.Message](want, observed M) M {
	m := bare(want)
	if f := field(m, statusField); f != nil && observed.ProtoReflect().Has(f) {
		m.ProtoReflect().Set(f, observed.ProtoReflect().Get(f))
	}
	return m
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

// anyEtag replaces whatever is there.
const anyEtag = "*"

// judge tells whether a write may go on: given is the client's etag, current that of what is there (empty: nothing).
func judge(given, current string, same bool) error {
	switch {
	case same, given == anyEtag, given == current:
		return nil
	case given == "":
		return ErrDiffers
	}
	return ErrEtag
}

// stale tells whether an etag was given, and is not the current one.
func stale(given, current string) bool { return given != "" && given != anyEtag && given != current }

// Put adds a resource, or replaces it if its etag allows. It gives the resource as it is then.
func (h *Host) Put(ctx context.Context, m proto.Message, by string) (proto.Message, pb.Outcome, error) {
	k := h.kindOf(m)
	want, _, err := k.checked(m)
	if err != nil {
		return nil, 0, err
	}
	h.writer.Lock()
	defer h.writer.Unlock()
	if want, err = h.settled(ctx, want, nil); err != nil {
		return nil, 0, err
	}
	key := k.keyOf(want)
	there, err := h.look(ctx, k, want)
	if err != nil {
		return nil, 0, err
	}
	var current string
	same := false
	asked := h.askedFor(k.id(), key)
	switch {
	case there != nil:
		if !there.own {
			k.foreign(ctx, there, want)
		}
		current = there.etag()
		same = k.same(ctx, want, there, asked)
	case asked != nil: // it could not be made again, or went behind our back
		current = etag(sum(bare(asked)))
		same = proto.Equal(bare(asked), want)
	}
	if err := judge(etagOf(m), current, same); err != nil {
		return nil, 0, &Error{Kind: k.id(), Key: key, Etag: current, Err: err}
	}
	if asked != nil && proto.Equal(bare(asked), want) {
		want = asked // with what was made up, which stays
	}
	whole := same && there != nil && there.broken == ""
	if whole && there.own {
		return out(there.msg), pb.Outcome_OUTCOME_UNCHANGED, nil
	}
	if !same {
		if err := h.contradicts(want, key); err != nil {
			return nil, 0, err
		}
		if err := k.refuses(ctx, want, there); err != nil {
			return nil, 0, err
		}
	}
	displaced, err := h.displaced(ctx, want)
	if err != nil {
		return nil, 0, err
	}
	c := newChange()
	n := name{k.id(), key}
	c.put[n] = want
	h.moved(c, want)
	outcome := pb.Outcome_OUTCOME_UNCHANGED // of a foreign one that is as wanted, and becomes our own
	err = h.commit(ctx, c, func(ctx context.Context) error {
		if whole {
			c.put[n] = withStatus(want, there.seen)
			return nil
		}
		outcome = pb.Outcome_OUTCOME_ADDED
		if there != nil {
			outcome = pb.Outcome_OUTCOME_REPLACED
		}
		got, err := k.write(ctx, want, there)
		if isHalf(err) {
			h.left(n, want, was(there), err)
		}
		if err != nil { // it may have taken away the rows of where it lived
			return errors.Join(err, h.restorePlaces(ctx, displaced))
		}
		c.put[n] = got
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	if outcome != pb.Outcome_OUTCOME_UNCHANGED {
		h.changed(k.id(), key, outcome, 1, by)
		h.alongWith(c, by)
	}
	return out(c.put[n]), outcome, nil
}

// alongWith tells watchers of what went with something else.
func (h *Host) alongWith(c *change, by string) {
	for n := range c.gone {
		h.changed(n.kind, n.key, pb.Outcome_OUTCOME_REMOVED, 1, by)
	}
	for key := range c.gonePlaces {
		h.changed(pb.Kind_KIND_ENDPOINT, key.String(), pb.Outcome_OUTCOME_REMOVED, 1, by)
	}
}

// contradicts tells whether another endpoint was asked for with an address of one that is wanted. It need not be there:
// it comes when it can.
func (h *Host) contradicts(m proto.Message, key string) error {
	e, ok := m.(*pb.LocalEndpoint)
	if !ok {
		return nil
	}
	here := addressesOf(h.asked[pb.Kind_KIND_LOCAL_ENDPOINT]) // the writer reads
	for _, a := range localAddrs(e) {
		if other, is := here[maps.EndpointKey{VNI: e.Vni, Addr: a}]; is && other != key {
			return &Error{Kind: pb.Kind_KIND_LOCAL_ENDPOINT, Key: key, Err: livesHere(a.String(), other)}
		}
	}
	return nil
}

func livesHere(address, as string) error {
	return fmt.Errorf("%s is an address of local endpoint %s: %w", address, as, dataplane.ErrExists)
}

// displaced are the rows of endpoints of other hosts that an endpoint takes the place of, whoever asked for them.
func (h *Host) displaced(ctx context.Context, m proto.Message) ([]wish, error) {
	e, ok := m.(*pb.LocalEndpoint)
	if !ok {
		return nil, nil
	}
	var all []wish
	for _, a := range localAddrs(e) {
		key := maps.EndpointKey{VNI: e.Vni, Addr: a}
		was, _, err := h.placeAt(ctx, key)
		if err != nil {
			return nil, err
		}
		if was != nil {
			all = append(all, wish{key: key, had: *was, there: true})
		}
	}
	return all, nil
}

// moved: an endpoint that is created here does not live elsewhere any more.
func (h *Host) moved(c *change, m proto.Message) {
	e, ok := m.(*pb.LocalEndpoint)
	if !ok {
		return
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, a := range localAddrs(e) {
		key := maps.EndpointKey{VNI: e.Vni, Addr: a}
		if _, ok := h.places[key]; ok {
			c.gonePlaces[key] = struct{}{}
		}
	}
}

// orphaned: the chains of an endpoint go with it.
func (h *Host) orphaned(c *change, m proto.Message) {
	e, ok := m.(*pb.LocalEndpoint)
	if !ok {
		return
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for key, m := range h.asked[pb.Kind_KIND_STAGE] {
		s := m.(*pb.Stage)
		n := name{pb.Kind_KIND_STAGE, key}
		a, err := netip.ParseAddr(s.GetScope().GetAddress())
		if _, wanted := c.put[n]; err == nil && !wanted && s.Scope.Vni == e.Vni && slices.Contains(localAddrs(e), a) {
			c.gone[n] = m
		}
	}
}

// Remove removes a resource, of which m bears what makes up the key.
func (h *Host) Remove(ctx context.Context, m proto.Message, given string, allowMissing bool, by string) (pb.Outcome, error) {
	k := h.kindOf(m)
	h.writer.Lock()
	defer h.writer.Unlock()
	m, err := h.settled(ctx, m, nil)
	if err != nil {
		return 0, err
	}
	there, err := h.look(ctx, k, m)
	if err != nil {
		return 0, err
	}
	key := k.keyOf(m)
	asked := h.askedFor(k.id(), key)
	switch {
	case there == nil && asked == nil && allowMissing:
		return pb.Outcome_OUTCOME_UNCHANGED, nil
	case there == nil && asked == nil:
		return 0, &Error{Kind: k.id(), Key: key, Err: dataplane.ErrNotFound}
	case there == nil: // it went behind our back: not to be asked for any more is what is left to do
		there = &have{key: key, msg: asked, own: true}
	}
	if current := there.etag(); stale(given, current) {
		return 0, &Error{Kind: k.id(), Key: key, Etag: current, Err: ErrEtag}
	}
	c := newChange()
	c.gone[name{k.id(), key}] = there.msg
	h.orphaned(c, there.msg)
	err = h.commit(ctx, c, func(ctx context.Context) error {
		if there.seen == nil {
			return k.tidied(ctx, there.msg)
		}
		err := k.unwrite(ctx, there)
		if isHalf(err) {
			h.left(name{k.id(), key}, nil, there.msg, err)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	h.alongWith(c, by)
	return pb.Outcome_OUTCOME_REMOVED, nil
}

// was is what is there; nil: nothing.
func was(there *have) proto.Message {
	if there == nil {
		return nil
	}
	return there.msg
}

// look reads what is there; nil: nothing.
func (h *Host) look(ctx context.Context, k kind, m proto.Message) (*have, error) {
	there, err := k.read(ctx, m)
	if err != nil || there == nil {
		return nil, err
	}
	if asked := h.askedFor(k.id(), there.key); asked != nil {
		k.overlay(ctx, there, asked)
	}
	return there, nil
}

func (h *Host) askedFor(id pb.Kind, key string) proto.Message {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.asked[id][key]
}

// out is a resource as clients see it.
func out(m proto.Message) proto.Message {
	tag := etag(sum(bare(m)))
	m = proto.CloneOf(m)
	if f, ok := m.(*pb.Function); ok && len(f.Object) > 0 {
		digest := sha256.Sum256(f.Object)
		if f.Status == nil {
			f.Status = &pb.FunctionStatus{}
		}
		f.Object, f.Status.ObjectSha256 = nil, digest[:]
	}
	setEtag(m, tag)
	return m
}

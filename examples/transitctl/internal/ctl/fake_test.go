// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
)

// fake keeps resources in memory, and does nothing else: it stands for a daemon where rendering, flags and exit codes
// are tested.
type fake struct {
	dataplanev1connect.UnimplementedDropletServiceHandler
	dataplanev1connect.UnimplementedEndpointServiceHandler
	dataplanev1connect.UnimplementedFunctionServiceHandler
	dataplanev1connect.UnimplementedHostServiceHandler
	dataplanev1connect.UnimplementedNetworkServiceHandler
	dataplanev1connect.UnimplementedPeerServiceHandler
	dataplanev1connect.UnimplementedPlumbingServiceHandler
	dataplanev1connect.UnimplementedStageServiceHandler
	dataplanev1connect.UnimplementedStatsServiceHandler
	dataplanev1connect.UnimplementedVpcServiceHandler

	mu      sync.Mutex
	rows    map[v1.Kind][]proto.Message
	fail    func(procedure string) error // what a call says instead
	applied *v1.ApplyRequest
	plan    *v1.ApplyResponse
	filter  *v1.EventFilter
	traced  *v1.TracePacketRequest
	chunks  []int
	over    bool          // the last chunk may replace
	short   uint64        // how many AddEndpoints forgets
	slow    time.Duration // between two answers of a stream
	counted uint64
	nouns   []*noun
}

func newFake() *fake {
	return &fake{rows: map[v1.Kind][]proto.Message{}, nouns: nouns()}
}

func (f *fake) handler() http.Handler {
	mux := http.NewServeMux()
	failing := connect.WithInterceptors(failing{f})
	for _, with := range []func() (string, http.Handler){
		func() (string, http.Handler) { return dataplanev1connect.NewDropletServiceHandler(f, failing) },
		func() (string, http.Handler) { return dataplanev1connect.NewEndpointServiceHandler(f, failing) },
		func() (string, http.Handler) { return dataplanev1connect.NewFunctionServiceHandler(f, failing) },
		func() (string, http.Handler) { return dataplanev1connect.NewHostServiceHandler(f, failing) },
		func() (string, http.Handler) { return dataplanev1connect.NewNetworkServiceHandler(f, failing) },
		func() (string, http.Handler) { return dataplanev1connect.NewPeerServiceHandler(f, failing) },
		func() (string, http.Handler) { return dataplanev1connect.NewPlumbingServiceHandler(f, failing) },
		func() (string, http.Handler) { return dataplanev1connect.NewStageServiceHandler(f, failing) },
		func() (string, http.Handler) { return dataplanev1connect.NewStatsServiceHandler(f, failing) },
		func() (string, http.Handler) { return dataplanev1connect.NewVpcServiceHandler(f, failing) },
	} {
		mux.Handle(with())
	}
	return mux
}

type failing struct{ f *fake }

func (x failing) err(procedure string) error {
	x.f.mu.Lock()
	defer x.f.mu.Unlock()
	if x.f.fail == nil {
		return nil
	}
	return x.f.fail(procedure)
}

func (x failing) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		if err := x.err(r.Spec().Procedure); err != nil {
			return nil, err
		}
		return next(ctx, r)
	}
}

func (x failing) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (x failing) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, c connect.StreamingHandlerConn) error {
		if err := x.err(c.Spec().Procedure); err != nil {
			return err
		}
		return next(ctx, c)
	}
}

// refused is an error as the daemon gives it.
func refused(code connect.Code, d *v1.ErrorDetail, format string, args ...any) error {
	err := connect.NewError(code, fmt.Errorf(format, args...))
	detail, e := connect.NewErrorDetail(d)
	if e != nil {
		return e
	}
	err.AddDetail(detail)
	return err
}

func (f *fake) noun(k v1.Kind) *noun { return (&cli{nouns: f.nouns}).ofKind(k) }

func protoValue(m proto.Message) protoreflect.Value {
	return protoreflect.ValueOfMessage(m.ProtoReflect())
}

func setText(m proto.Message, name, text string) {
	r := m.ProtoReflect()
	r.Set(r.Descriptor().Fields().ByName(protoreflect.Name(name)), protoreflect.ValueOfString(text))
}

// put writes as common.proto says, and puts what is there now into the answer.
func (f *fake) put(k v1.Kind, m proto.Message, answer proto.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.noun(k)
	key, etag := n.keyOf(m), show(m, "etag")
	m = proto.Clone(m)
	setText(m, "etag", "")
	tell(m)
	i := slices.IndexFunc(f.rows[k], func(have proto.Message) bool { return n.keyOf(have) == key })
	outcome := v1.Outcome_OUTCOME_ADDED
	if i >= 0 {
		have := proto.Clone(f.rows[k][i])
		now := show(have, "etag")
		setText(have, "etag", "")
		switch d := (&v1.ErrorDetail{Kind: k, Key: key, Etag: now}); {
		case proto.Equal(have, m):
			outcome = v1.Outcome_OUTCOME_UNCHANGED
		case etag == "":
			d.Cause = v1.Cause_CAUSE_EXISTS
			return refused(connect.CodeAlreadyExists, d, "add %s %s: it exists", n.name, key)
		case etag != "*" && etag != now:
			d.Cause = v1.Cause_CAUSE_ETAG
			return refused(connect.CodeAborted, d, "add %s %s: its etag is another", n.name, key)
		default:
			outcome = v1.Outcome_OUTCOME_REPLACED
		}
	}
	f.counted++
	setText(m, "etag", fmt.Sprintf("e%d", f.counted))
	switch {
	case i < 0:
		f.rows[k] = append(f.rows[k], m)
	case outcome == v1.Outcome_OUTCOME_REPLACED:
		f.rows[k][i] = m
	default:
		m = f.rows[k][i]
	}
	r := answer.ProtoReflect()
	r.Set(resourceField(r), protoValue(m))
	r.Set(r.Descriptor().Fields().ByName("outcome"), protoreflect.ValueOfEnum(outcome.Number()))
	return nil
}

// tell fills in what a host would say.
func tell(m proto.Message) {
	switch m := m.(type) {
	case *v1.Droplet:
		m.Status = &v1.DropletStatus{Ifindex: 2, Mode: v1.Mode_MODE_TCX, Why: "a veth", Addresses: []string{"192.0.2.1"}, Mac: "02:00:00:00:00:01", Mtu: 1500, Gone: m.GetInterface() == "gone0"}
	case *v1.LocalEndpoint:
		m.Status = &v1.LocalEndpointStatus{HostInterface: "mz7", Ifindex: 9, Mac: "02:00:00:00:00:02", Mtu: 1426, Mode: v1.Mode_MODE_TCX}
	case *v1.Function:
		m.Status = &v1.FunctionStatus{ObjectSha256: []byte{0xab, byte(len(m.GetObject()))}, Xdp: true, Reasons: []string{"DENIED"}, Maps: []*v1.FunctionMap{{Name: "rules"}, {Name: "hits"}}}
		m.Object = nil
	}
}

// remove removes what a request names; its fields are those of the key.
func (f *fake) remove(k v1.Kind, key, etag string, missing bool) (v1.Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.noun(k)
	i := slices.IndexFunc(f.rows[k], func(have proto.Message) bool { return n.keyOf(have) == key })
	switch {
	case i < 0 && missing:
		return v1.Outcome_OUTCOME_UNCHANGED, nil
	case i < 0:
		return 0, refused(connect.CodeNotFound, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_NOT_FOUND, Kind: k, Key: key}, "remove %s %s: not found", n.name, key)
	case etag != "" && etag != show(f.rows[k][i], "etag"):
		return 0, refused(connect.CodeAborted, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_ETAG, Kind: k, Key: key, Etag: show(f.rows[k][i], "etag")}, "remove %s %s: its etag is another", n.name, key)
	}
	f.rows[k] = slices.Delete(f.rows[k], i, i+1)
	return v1.Outcome_OUTCOME_REMOVED, nil
}

func (f *fake) get(k v1.Kind, key string, answer proto.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.noun(k)
	for _, have := range f.rows[k] {
		if n.keyOf(have) == key {
			r := answer.ProtoReflect()
			r.Set(resourceField(r), protoValue(have))
			return nil
		}
	}
	return refused(connect.CodeNotFound, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_NOT_FOUND, Kind: k, Key: key}, "get %s %s: not found", n.name, key)
}

func (f *fake) list(k v1.Kind, vni uint32, answer proto.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := answer.ProtoReflect()
	l := r.Mutable(resourceField(r)).List()
	for _, m := range f.rows[k] {
		if vni == 0 || show(m, "vni") == fmt.Sprint(vni) {
			l.Append(protoValue(m))
		}
	}
}

func put1[O any, M proto.Message](f *fake, k v1.Kind, m M) (*connect.Response[O], error) {
	out := new(O)
	if err := f.put(k, m, any(out).(proto.Message)); err != nil {
		return nil, err
	}
	return connect.NewResponse(out), nil
}

func get1[O any](f *fake, k v1.Kind, key string) (*connect.Response[O], error) {
	out := new(O)
	if err := f.get(k, key, any(out).(proto.Message)); err != nil {
		return nil, err
	}
	return connect.NewResponse(out), nil
}

func list1[O any](f *fake, k v1.Kind, vni uint32) (*connect.Response[O], error) {
	out := new(O)
	f.list(k, vni, any(out).(proto.Message))
	return connect.NewResponse(out), nil
}

func remove1[O any](f *fake, k v1.Kind, key string, r interface {
	GetEtag() string
	GetAllowMissing() bool
}) (*connect.Response[O], error) {
	outcome, err := f.remove(k, key, r.GetEtag(), r.GetAllowMissing())
	if err != nil {
		return nil, err
	}
	out := new(O)
	m := any(out).(proto.Message).ProtoReflect()
	m.Set(m.Descriptor().Fields().ByName("outcome"), protoreflect.ValueOfEnum(outcome.Number()))
	return connect.NewResponse(out), nil
}

func vniKey(vni uint32, rest string) string { return fmt.Sprintf("%d/%s", vni, rest) }

func scopeKey(s *v1.StageScope) string { return showStageKey(&v1.Stage{Scope: s}) }

// AddEndpoints answers every message.
func (f *fake) AddEndpoints(_ context.Context, s *connect.BidiStream[v1.AddEndpointsRequest, v1.AddEndpointsResponse]) error {
	out := new(v1.AddEndpointsResponse)
	for {
		in, err := s.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		f.mu.Lock()
		f.chunks = append(f.chunks, len(in.GetEndpoints()))
		f.over = in.GetOverwrite()
		slow := f.slow
		f.mu.Unlock()
		for i, e := range in.GetEndpoints() {
			if e.GetHost() == "" {
				field := "host"
				if len(in.GetEndpoints()) > 1 {
					field = fmt.Sprintf("endpoints[%d].host", i)
				}
				return refused(connect.CodeInvalidArgument, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_INVALID, Kind: v1.Kind_KIND_ENDPOINT, Field: field}, "endpoint: %s: it is not given", field)
			}
			out.Added++
		}
		out.Added -= f.short
		time.Sleep(slow)
		if err := s.Send(out); err != nil {
			return err
		}
	}
}

func (f *fake) RemoveEndpoints(_ context.Context, s *connect.BidiStream[v1.RemoveEndpointsRequest, v1.RemoveEndpointsResponse]) error {
	out := new(v1.RemoveEndpointsResponse)
	for {
		in, err := s.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for _, k := range in.GetKeys() {
			if _, err := f.remove(v1.Kind_KIND_ENDPOINT, vniKey(k.GetVni(), k.GetAddress()), "", false); err != nil {
				out.Missing++
			} else {
				out.Removed++
			}
		}
		if err := s.Send(out); err != nil {
			return err
		}
	}
}

// ListEndpoints sends one a message, backwards: it may be any order.
func (f *fake) ListEndpoints(_ context.Context, r *connect.Request[v1.ListEndpointsRequest], s *connect.ServerStream[v1.ListEndpointsResponse]) error {
	all := new(v1.ListEndpointsResponse)
	f.list(v1.Kind_KIND_ENDPOINT, r.Msg.GetVni(), all)
	for _, e := range slices.Backward(all.GetEndpoints()) {
		if host := r.Msg.GetHost(); host != "" && host != e.GetHost() {
			continue
		}
		e = proto.Clone(e).(*v1.Endpoint)
		e.Etag = ""
		if err := s.Send(&v1.ListEndpointsResponse{Endpoints: []*v1.Endpoint{e}}); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) UpdateFunctionMap(_ context.Context, r *connect.Request[v1.UpdateFunctionMapRequest]) (*connect.Response[v1.UpdateFunctionMapResponse], error) {
	if r.Msg.GetMap() != "rules" {
		return nil, refused(connect.CodeNotFound, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_NOT_FOUND, Kind: v1.Kind_KIND_FUNCTION, Key: r.Msg.GetFunction()}, "update map %s of function %s: not found", r.Msg.GetMap(), r.Msg.GetFunction())
	}
	return connect.NewResponse(&v1.UpdateFunctionMapResponse{Written: uint32(len(r.Msg.GetEntries())), Deleted: uint32(len(r.Msg.GetDeleteKeys()))}), nil
}

func (f *fake) ListFunctionMap(_ context.Context, _ *connect.Request[v1.ListFunctionMapRequest], s *connect.ServerStream[v1.ListFunctionMapResponse]) error {
	return s.Send(&v1.ListFunctionMapResponse{Entries: []*v1.MapEntry{{Key: []byte{10, 0, 0, 2}, Value: []byte{1}}, {Key: []byte{10, 0, 0, 1}, Value: []byte{0}}}})
}

func (f *fake) Apply(_ context.Context, r *connect.Request[v1.ApplyRequest]) (*connect.Response[v1.ApplyResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = r.Msg
	if r.Msg.GetEtag() == "old" {
		return nil, refused(connect.CodeAborted, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_ETAG, Etag: "s2"}, "apply: the state has changed")
	}
	return connect.NewResponse(f.plan), nil
}

// GetState sends a kind a message.
func (f *fake) GetState(_ context.Context, r *connect.Request[v1.GetStateRequest], s *connect.ServerStream[v1.GetStateResponse]) error {
	for _, n := range f.nouns {
		if n.kind == 0 || len(r.Msg.GetKinds()) > 0 && !slices.Contains(r.Msg.GetKinds(), n.kind) {
			continue
		}
		state := new(v1.State)
		f.mu.Lock()
		for _, m := range f.rows[n.kind] {
			state.ProtoReflect().Mutable(n.stateField()).List().Append(protoValue(m))
		}
		f.mu.Unlock()
		if err := s.Send(&v1.GetStateResponse{State: state}); err != nil {
			return err
		}
	}
	return s.Send(&v1.GetStateResponse{Etag: "s1"})
}

func (f *fake) GetHealth(context.Context, *connect.Request[v1.GetHealthRequest]) (*connect.Response[v1.GetHealthResponse], error) {
	return connect.NewResponse(&v1.GetHealthResponse{
		Problems: []*v1.Problem{{Kind: v1.Kind_KIND_DROPLET, Key: "gone0", Message: "the interface is gone"}},
		Repairs: []*v1.Repair{{Time: timestamppb.New(time.Unix(1e9, 0)), Step: &v1.PlanStep{
			Action: v1.Action_ACTION_ADD, Kind: v1.Kind_KIND_VPC, Key: "7", Detail: "it was missing",
		}}},
		Adopted: true, Uptime: durationpb.New(90 * time.Second),
	}), nil
}

func (f *fake) GetVersion(context.Context, *connect.Request[v1.GetVersionRequest]) (*connect.Response[v1.GetVersionResponse], error) {
	return connect.NewResponse(&v1.GetVersionResponse{Version: "v1.2.3", Go: "go1.26", Kernel: "6.18", Programs: 0xabc, Instance: "blue", Hostname: "h1"}), nil
}

func (f *fake) ListCounters(context.Context, *connect.Request[v1.ListCountersRequest]) (*connect.Response[v1.ListCountersResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counted += 1000
	return connect.NewResponse(&v1.ListCountersResponse{Counters: []*v1.Counter{
		{Name: "DELIVER", Packets: 10 + f.counted, Bytes: 1000}, {Name: "DROP_SPOOF_ADDRESS", Drop: true, Packets: 3, Bytes: 0},
	}, EventsLost: 2}), nil
}

func (f *fake) ListTraffic(context.Context, *connect.Request[v1.ListTrafficRequest]) (*connect.Response[v1.ListTrafficResponse], error) {
	return connect.NewResponse(&v1.ListTrafficResponse{Traffic: []*v1.Traffic{
		{Kind: v1.Kind_KIND_DROPLET, Interface: "eth0", Ifindex: 2, RxPackets: 5, RxBytes: 500},
		{Kind: v1.Kind_KIND_LOCAL_ENDPOINT, Interface: "mz7", Ifindex: 9, Vni: 7, TxPackets: 12345, TxBytes: 678},
	}}), nil
}

func (f *fake) ListTables(context.Context, *connect.Request[v1.ListTablesRequest]) (*connect.Response[v1.ListTablesResponse], error) {
	return connect.NewResponse(&v1.ListTablesResponse{Tables: []*v1.Table{{Name: "endpoints", Entries: 990, Capacity: 1000}, {Name: "vpcs", Capacity: 100}}}), nil
}

func (f *fake) ListDirects(_ context.Context, _ *connect.Request[v1.ListDirectsRequest], s *connect.ServerStream[v1.ListDirectsResponse]) error {
	for _, a := range []string{"10.0.0.10", "10.0.0.9"} {
		if err := s.Send(&v1.ListDirectsResponse{Directs: []*v1.Direct{{Vni: 7, Address: a, Host: "192.0.2.2", Idle: durationpb.New(1234 * time.Millisecond)}}}); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) ListPaths(_ context.Context, _ *connect.Request[v1.ListPathsRequest], s *connect.ServerStream[v1.ListPathsResponse]) error {
	return s.Send(&v1.ListPathsResponse{Paths: []*v1.Path{{Host: "192.0.2.2", Mtu: 1400, Expires: durationpb.New(10 * time.Minute)}, {Host: "192.0.2.1"}}})
}

// WatchEvents sends two events, and then nothing.
func (f *fake) WatchEvents(ctx context.Context, r *connect.Request[v1.WatchEventsRequest], s *connect.ServerStream[v1.WatchEventsResponse]) error {
	f.mu.Lock()
	f.filter = r.Msg.GetFilter()
	f.mu.Unlock()
	at := timestamppb.New(time.Unix(1e9, 5e6))
	for _, m := range []*v1.WatchEventsResponse{
		{},
		{Event: &v1.Event{Time: at, Event: &v1.Event_Drop{Drop: &v1.Drop{
			Reason: "DROP_SPOOF_ADDRESS", Hook: "agent_tcx", Ifindex: 9, Vni: 7, Length: 98, Source: "10.0.0.1", Destination: "10.0.0.2", Bytes: []byte{1, 2},
		}}}},
		{Event: &v1.Event{Time: at, Event: &v1.Event_Change{Change: &v1.Change{
			Kind: v1.Kind_KIND_VPC, Key: "7", Outcome: v1.Outcome_OUTCOME_ADDED, Count: 1, By: "local",
		}}}, Lost: 4},
	} {
		if err := s.Send(m); err != nil {
			return err
		}
	}
	f.mu.Lock()
	over := f.over
	f.mu.Unlock()
	if over {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (f *fake) TracePacket(_ context.Context, r *connect.Request[v1.TracePacketRequest]) (*connect.Response[v1.TracePacketResponse], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.traced = r.Msg
	return connect.NewResponse(&v1.TracePacketResponse{
		Steps: []*v1.TraceStep{
			{Table: "endpoints", Key: cmp.Or(strings.TrimSpace(r.Msg.GetDestination()), "?"), Says: "go on"},
			{Table: "networks", Key: "7/" + r.Msg.GetDestination(), Found: "bouncer 192.0.2.1", Says: "encapsulate"},
		},
		Verdict: "ENCAP", Targets: []string{"192.0.2.1", "192.0.2.2"},
	}), nil
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

// stages has the chains of an endpoint by its lowest address, whichever of them names it: see [Host.settled].
func stages(dp *dataplane.Dataplane) kind {
	return &spec[*pb.Stage]{
		kind:  pb.Kind_KIND_STAGE,
		key:   func(s *pb.Stage) string { return stageKey(s.GetScope()) },
		check: checkStage,
		get: func(ctx context.Context, s *pb.Stage) (*pb.Stage, error) {
			stage, scope, err := toScope(s.Scope)
			if err != nil {
				return nil, err
			}
			c, err := dp.Stage.Get(ctx, stage, scope)
			if err != nil {
				return nil, err
			}
			if len(c.Functions) == 0 {
				return nil, fmt.Errorf("no functions: %w", dataplane.ErrNotFound)
			}
			return &pb.Stage{Scope: s.Scope, Functions: c.Functions}, nil
		},
		list: func(ctx context.Context) iter.Seq2[*pb.Stage, error] { return listStages(ctx, dp) },
		put: func(ctx context.Context, want, _ *pb.Stage) (*pb.Stage, error) {
			stage, scope, err := toScope(want.Scope)
			if err != nil {
				return nil, err
			}
			err = dp.Stage.Set(ctx, stage, scope, want.Functions...)
			if missing := missingFunction(ctx, dp, want.Functions); missing != "" && errors.Is(err, dataplane.ErrNotFound) {
				err = &Error{Kind: pb.Kind_KIND_FUNCTION, Key: missing, Err: err}
			}
			return want, err
		},
		remove: func(ctx context.Context, s *pb.Stage) error {
			stage, scope, err := toScope(s.Scope)
			if err != nil {
				return err
			}
			return dp.Stage.Clear(ctx, stage, scope)
		},
		fits: fits[*pb.Stage],
		of:   func(s *pb.State) *[]*pb.Stage { return &s.Stages },
		phase: func(s *pb.Stage) int {
			if s.Scope.GetAddress() != "" {
				return phaseEndpointStage
			}
			return phaseWideStage
		},
	}
}

// missingFunction is the first that is not loaded; empty: none is missing, or nobody knows.
func missingFunction(ctx context.Context, dp *dataplane.Dataplane, names []string) string {
	loaded := make(map[string]bool)
	for name, err := range dp.Function.List(ctx) {
		if err != nil {
			return ""
		}
		loaded[name] = true
	}
	for _, name := range names {
		if !loaded[name] {
			return name
		}
	}
	return ""
}

var points = [...]dataplane.Stage{
	pb.StagePoint_STAGE_POINT_SEND:    dataplane.StageSend,
	pb.StagePoint_STAGE_POINT_PARSE:   dataplane.StageParse,
	pb.StagePoint_STAGE_POINT_DELIVER: dataplane.StageDeliver,
	pb.StagePoint_STAGE_POINT_FORWARD: dataplane.StageForward,
	pb.StagePoint_STAGE_POINT_DROP:    dataplane.StageDrop,
}

// stageKey is point/VNI/address, with - for what is not given.
func stageKey(s *pb.StageScope) string {
	point := strings.ToLower(strings.TrimPrefix(s.GetPoint().String(), "STAGE_POINT_"))
	vni, address := "-", "-"
	if s.GetVni() != 0 {
		vni = fmt.Sprint(s.GetVni())
	}
	if s.GetAddress() != "" {
		address = s.GetAddress()
	}
	return point + "/" + vni + "/" + address
}

func toScope(s *pb.StageScope) (dataplane.Stage, dataplane.Scope, error) {
	var r reader
	if s == nil {
		return 0, dataplane.Scope{}, wrong("scope", "it is not given")
	}
	if s.Point <= 0 || int(s.Point) >= len(points) {
		return 0, dataplane.Scope{}, wrong("scope.point", "%v is no stage", s.Point)
	}
	if s.Vni != 0 || s.Address != "" {
		r.vni("scope.vni", s.Vni)
	}
	scope := dataplane.Scope{VNI: s.Vni, Addr: r.optional("scope.address", &s.Address)}
	return points[s.Point], scope, r.err
}

func checkStage(s *pb.Stage) error {
	if _, _, err := toScope(s.Scope); err != nil {
		return err
	}
	if len(s.Functions) == 0 {
		return wrong("functions", "a stage has one at least: clear it instead")
	}
	var r reader
	for i, f := range s.Functions {
		r.function(fmt.Sprintf("functions[%d]", i), f)
	}
	return r.err
}

// listStages names the endpoints of chains by their lowest address.
func listStages(ctx context.Context, dp *dataplane.Dataplane) iter.Seq2[*pb.Stage, error] {
	return func(yield func(*pb.Stage, error) bool) {
		var chains []dataplane.Chain
		local := false
		for c, err := range dp.Stage.List(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			chains = append(chains, c)
			local = local || c.Ifindex != 0
		}
		addrs := make(map[int][]netip.Addr)
		if local {
			for e, err := range dp.Endpoint.Local(ctx) {
				if err != nil {
					yield(nil, err)
					return
				}
				addrs[e.Ifindex] = e.Addrs
			}
		}
		for _, c := range chains {
			s := &pb.Stage{
				Scope:     &pb.StageScope{Point: pb.StagePoint(slices.Index(points[:], c.Stage)), Vni: c.VNI},
				Functions: c.Functions,
			}
			if c.Ifindex != 0 {
				lowest := lowest(addrs[c.Ifindex])
				if !lowest.IsValid() {
					continue // it goes with its endpoint, which is being deleted
				}
				s.Scope.Address = lowest.String()
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

// settled names the endpoint of a stage as all do: by its lowest address. It is found among the wanted ones, else among
// those that are there.
func (h *Host) settled(ctx context.Context, m proto.Message, wanted map[string]proto.Message) (proto.Message, error) {
	s, ok := m.(*pb.Stage)
	if !ok || s.GetScope().GetAddress() == "" {
		return m, nil
	}
	a, err := netip.ParseAddr(s.Scope.Address)
	if err != nil {
		return m, nil // the check says what is wrong
	}
	to := func(addrs []netip.Addr) proto.Message {
		s := proto.CloneOf(s)
		s.Scope.Address = lowest(addrs).String()
		return s
	}
	for _, w := range wanted {
		e := w.(*pb.LocalEndpoint)
		if addrs := localAddrs(e); e.Vni == s.Scope.Vni && slices.Contains(addrs, a) {
			return to(addrs), nil
		}
	}
	row, err := h.dp.Endpoint.Get(ctx, maps.EndpointKey{VNI: s.Scope.Vni, Addr: a})
	if err != nil || row.Ifindex == 0 {
		return m, nil // so does whoever looks for it
	}
	for e, err := range h.dp.Endpoint.Local(ctx) {
		if err != nil {
			return nil, &Error{Kind: pb.Kind_KIND_STAGE, Key: stageKey(s.Scope), Err: err}
		}
		if e.Ifindex == row.Ifindex && len(e.Addrs) > 0 {
			return to(e.Addrs), nil
		}
	}
	return m, nil
}

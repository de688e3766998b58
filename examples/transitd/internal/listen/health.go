// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"net/http"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
)

// Health is what grpc.health.v1 tells of the daemon and of each of its services. At first none serves.
type Health struct {
	checker  *grpchealth.StaticChecker
	services []string
}

// NewHealth is of services by their names, mizar.dataplane.v1.VpcService ….
func NewHealth(services ...string) *Health {
	h := &Health{checker: grpchealth.NewStaticChecker(), services: services}
	h.SetAll(false)
	return h
}

// Set says whether a service serves. Empty: the daemon as a whole.
func (h *Health) Set(service string, serving bool) {
	status := grpchealth.StatusNotServing
	if serving {
		status = grpchealth.StatusServing
	}
	h.checker.SetStatus(service, status)
}

// SetAll says it of all, and of the whole.
func (h *Health) SetAll(serving bool) {
	h.Set("", serving)
	for _, s := range h.services {
		h.Set(s, serving)
	}
}

// Mount has mux answer gRPC's health and reflection: the latter in both versions, as tools have either.
func (h *Health) Mount(mux *http.ServeMux, options ...connect.HandlerOption) {
	mux.Handle(grpchealth.NewHandler(h.checker, options...))
	names := append([]string{grpchealth.HealthV1ServiceName, grpcreflect.ReflectV1ServiceName}, h.services...)
	reflector := grpcreflect.NewStaticReflector(names...)
	mux.Handle(grpcreflect.NewHandlerV1(reflector, options...))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, options...))
}

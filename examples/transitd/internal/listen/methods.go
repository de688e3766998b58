// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
	dataplanev1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// method is what is to be known of a procedure before its handler is.
type method struct {
	reads  bool // changes nothing
	stream bool // takes or gives more than one message
	health bool // is asked while the daemon ends
}

// methods are by procedure, /package.Service/Method. What the API says of its methods is in their descriptors,
// so that a new one is not forgotten here; those of health and reflection are in none that can be looked up.
func methods() map[string]method {
	all := map[string]method{
		"/" + grpchealth.HealthV1ServiceName + "/Check":                       {reads: true, health: true},
		"/" + grpchealth.HealthV1ServiceName + "/Watch":                       {reads: true, stream: true, health: true},
		"/" + grpcreflect.ReflectV1ServiceName + "/ServerReflectionInfo":      {reads: true, stream: true},
		"/" + grpcreflect.ReflectV1AlphaServiceName + "/ServerReflectionInfo": {reads: true, stream: true},
	}
	of := dataplanev1.File_mizar_dataplane_v1_common_proto.Package()
	protoregistry.GlobalFiles.RangeFilesByPackage(of, func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			service := f.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				o, _ := m.Options().(*descriptorpb.MethodOptions)
				all["/"+string(service.FullName())+"/"+string(m.Name())] = method{
					reads:  o.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS,
					stream: m.IsStreamingClient() || m.IsStreamingServer(),
				}
			}
		}
		return true
	})
	return all
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"slices"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// makeRoom puts the removal of rows that take the room of what the first step adds before it. It tells whether there
// are any. They go in their order, and packets to them are dropped a little sooner.
func makeRoom(todo []unit) bool {
	n, mates := 0, roommates[todo[0][0].name().kind]
	for i := 1; i < len(todo); i++ {
		if u := todo[i]; u[0].phase > phases && slices.Contains(mates, u[0].name().kind) {
			copy(todo[n+1:i+1], todo[n:i])
			todo[n] = u
			n++
		}
	}
	return n > 0
}

// roommates are the kinds that share a table, or sets of hosts, with one. Droplets, functions and chains are not among
// them: what they do, or keep from happening, is needed to the end.
var roommates = map[pb.Kind][]pb.Kind{
	pb.Kind_KIND_PEER:           {pb.Kind_KIND_PEER},
	pb.Kind_KIND_VPC:            {pb.Kind_KIND_VPC, pb.Kind_KIND_NETWORK},
	pb.Kind_KIND_NETWORK:        {pb.Kind_KIND_VPC, pb.Kind_KIND_NETWORK},
	pb.Kind_KIND_ENDPOINT:       {pb.Kind_KIND_ENDPOINT, pb.Kind_KIND_LOCAL_ENDPOINT},
	pb.Kind_KIND_LOCAL_ENDPOINT: {pb.Kind_KIND_ENDPOINT, pb.Kind_KIND_LOCAL_ENDPOINT},
}

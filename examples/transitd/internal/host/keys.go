// SPDX-License-Identifier: Apache-2.0

package host

import (
	"strconv"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

// pathKey is VNI/what.
func pathKey(vni uint32, what string) string {
	return strconv.FormatUint(uint64(vni), 10) + "/" + what
}

// addressKey reads the name of an address.
func addressKey(k *pb.EndpointKey) (maps.EndpointKey, error) {
	if k == nil {
		return maps.EndpointKey{}, wrong("key", "it is not given")
	}
	var r reader
	r.vni("key.vni", k.Vni)
	address := k.Address
	key := maps.EndpointKey{VNI: k.Vni, Addr: r.addr("key.address", &address)}
	return key, r.err
}

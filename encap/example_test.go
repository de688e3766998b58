// SPDX-License-Identifier: Apache-2.0

package encap_test

import (
	"fmt"
	"net/netip"

	"github.com/mizar-go/mizar/encap"
)

func Example() {
	option, err := encap.ReturnToSender{
		Host: netip.MustParseAddr("192.0.2.1"),
		Hops: encap.MaxHops,
	}.Option(encap.OptionClass)
	if err != nil {
		fmt.Println(err)
		return
	}
	packet, err := encap.Header{VNI: 7, Options: []encap.Option{option}}.AppendBinary(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	packet = append(packet, "an Ethernet frame"...)

	header, payload, err := encap.Decode(packet)
	if err != nil {
		fmt.Println(err)
		return
	}
	known, err := header.Known(encap.OptionClass)
	if err != nil {
		fmt.Println(err) // to be dropped
		return
	}
	fmt.Printf("VNI %d from %v: %s\n", header.VNI, known.ReturnToSender.Host, payload)
	// Output: VNI 7 from 192.0.2.1: an Ethernet frame
}

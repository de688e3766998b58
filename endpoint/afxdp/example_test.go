// SPDX-License-Identifier: Apache-2.0

package afxdp_test

import (
	"context"
	"errors"
	"log"
	"net"

	"github.com/mizar-go/mizar/endpoint/afxdp"
)

// A function that sends every frame back to where it came from, with its MAC addresses swapped.
func Example() {
	p, err := afxdp.Open(context.Background(), afxdp.Config{Interface: "fn0"})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	log.Printf("%s: %s", p.Mode, p.Why)

	s := p.Sockets()[0] // of a veth's one queue
	frames := make([]afxdp.Frame, 64)
	var tunnel afxdp.Tunnel
	for {
		n, err := s.Recv(frames)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		for i := range frames[:n] {
			f := &frames[i]
			if f.Decode(&tunnel) != nil || len(tunnel.Inner) < 12 {
				f.Release() // not to be sent
				continue
			}
			inner := tunnel.Inner
			for b := range 6 {
				inner[b], inner[6+b] = inner[6+b], inner[b]
			}
			if err := f.Reply(&tunnel, inner); err != nil {
				f.Release()
			}
		}
		if _, err := s.Send(frames[:n]); err != nil {
			log.Print(err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package listen is where calls come in: a Unix socket, and TCP with mutual TLS. What passes has an identity and
// a role, is within the limits, and is logged; the handlers behind it need not know of any of this.
//
//	options := listen.Options(cfg.RPC)                     // for every handler
//	mux.Handle(dataplanev1connect.NewVpcServiceHandler(vpcs, options...))
//	health := listen.NewHealth(dataplanev1connect.VpcServiceName)
//	health.Mount(mux, options...)                          // and reflection
//	s, err := listen.New(listen.Config{Listen: cfg.Listen, RPC: cfg.RPC}, mux, log)
//	err = s.Serve(ctx)                                     // until ctx ends, or after s.Drain
//
// # Who may do what
//
// A client of the Unix socket may do everything: the socket's mode, 0660, says who that is. A client by TCP has
// a certificate, and each name in it has a kind: uri, dns or cn. They are looked up in the configuration's roles,
// kind after kind in this order, and the first kind of which a name is found decides; so a common name, which
// CAs check least, never outdoes a SPIFFE ID. Of several names of this kind that are found, the least role
// counts: whoever wrote "read" beside one of them meant that its bearer shall not write.
//
// The role read may call the procedures that the API's descriptors declare NO_SIDE_EFFECTS, health and
// reflection. Any other name, known or not, is denied.
//
// It takes the right to make the socket and to give it to its group (CAP_CHOWN, if the process is not in it).
package listen

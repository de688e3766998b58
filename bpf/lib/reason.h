/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Why a packet went where it went. Every verdict of every program is one of these; it indexes
 * `counters` and is reported in `events`. Append only: the number is part of the pinned layout and of
 * what operators graph. Go gets this enum from BTF, its names by stringer.
 */
#ifndef MIZAR_REASON_H
#define MIZAR_REASON_H

enum reason {
	/* Verdicts. */
	REASON_NONE = 0,       /* no verdict yet: go on */
	REASON_PASS,           /* not ours: to the host's stack, untouched */
	REASON_DELIVER,        /* tunnel packet handed to a local endpoint */
	REASON_DELIVER_LOCAL,  /* from an endpoint to another on the same host */
	REASON_SEND_DIRECT,    /* encapsulated straight to the destination's host */
	REASON_SEND_BOUNCER,   /* encapsulated to a bouncer, with return-to-sender */
	REASON_SEND_DIVIDER,   /* encapsulated to a divider, with return-to-sender */
	REASON_BOUNCE,         /* sent on to the endpoint's host */
	REASON_DIVIDE_NETWORK, /* sent on to a bouncer of the network */
	REASON_DIVIDE_VPC,     /* sent on to a divider of the VPC */
	REASON_RETURN,         /* sent back once, critical: the endpoint is not here */
	REASON_REROUTE,        /* came back; sent again, by a bouncer */
	REASON_ANSWER,         /* ARP or neighbour request answered */
	REASON_TOO_BIG_REPLY,  /* answered with ICMP: too big for the path or the endpoint */
	REASON_RESOLVE,        /* next hop left to the kernel's neighbour table */
	REASON_TO_TCX,         /* XDP leaves it to tcx: headers spread over buffers */

	/* Drops: the outer packet. */
	DROP_OUTER_SHORT = 16,                /* Geneve to us that ends inside a header */
	REASON_DROP_FIRST = DROP_OUTER_SHORT, /* no name of its own: what comes first is printed */
	DROP_OUTER_LENGTH,                    /* IP or UDP length disagrees with the packet */
	DROP_OUTER_FRAGMENT,                  /* a fragment of a tunnel packet */
	DROP_OUTER_SOURCE, /* the outer source is one of our own addresses, or not unicast */
	DROP_PEER,         /* the outer source is no peer */
	DROP_GENEVE_VERSION,
	DROP_GENEVE_CONTROL,  /* the O bit: no control protocol is spoken */
	DROP_GENEVE_PROTOCOL, /* not Ethernet inside */
	DROP_OPTION_LENGTH,   /* an option reaches beyond the options */
	DROP_OPTION_CRITICAL, /* a critical option that we do not know */
	DROP_OPTION_RTS, /* a return-to-sender of a wrong size, doubled, or with a bad address */
	DROP_ECN,        /* congestion experienced outside, not ECN-capable inside */

	/* Drops: the inner packet. */
	DROP_INNER_SHORT = 32, /* ends inside a header */
	DROP_INNER_VLAN,       /* more than one VLAN tag */
	DROP_INNER_ETHERTYPE,  /* neither IPv4, IPv6 nor ARP; LLC too */
	DROP_INNER_IPV4,       /* version, IHL or total length */
	DROP_INNER_IPV6,       /* version or payload length */
	DROP_INNER_MAPPED,     /* IPv6 with a v4-mapped address */
	DROP_INNER_EXTENSION,  /* extension headers too many, or cut by a fragment */
	DROP_INNER_ADDRESS,    /* a source or destination that no packet may have */
	DROP_MULTICAST,        /* broadcast or multicast */
	DROP_ARP,              /* malformed, or neither request nor reply */
	DROP_NEIGHBOUR,        /* malformed neighbour discovery */

	/* Drops: identity. */
	DROP_NO_AGENT = 48, /* from an interface that no endpoint is on */
	DROP_SPOOF_MAC,
	DROP_SPOOF_ADDRESS,
	DROP_SPOOF_NEIGHBOUR, /* ARP sender, neighbour source or target that is not the endpoint's */
	DROP_ROUTER_ADVERT,   /* router advertisement or redirect from an endpoint */
	DROP_NEIGHBOUR_UNUSED, /* duplicate detection, gratuitous ARP: right, and nobody needs it */
	DROP_SOURCE_HOST,      /* the source endpoint lives elsewhere, say the tables */
	DROP_TENANT,           /* the interface belongs to another VNI: a race with a deletion */

	/* Drops: forwarding. */
	DROP_NO_VPC = 64,
	DROP_NO_NETWORK,   /* we are the VPC's divider and know no such network */
	DROP_NO_ENDPOINT,  /* we are the network's bouncer and know no such endpoint */
	DROP_BLACKHOLE,    /* the network's route says so */
	DROP_SET,          /* a set that is empty or missing */
	DROP_HOPS,         /* bounced too often */
	DROP_LOOP,         /* would go back to where it came from */
	DROP_RETURN,       /* came back and is not ours to send again */
	DROP_NO_ROUTE,     /* the host has no route to the next host */
	DROP_NO_SOURCE,    /* the route's device is no droplet, or has no address of the family */
	DROP_NO_NEIGHBOUR, /* the kernel could not take the packet for its neighbour table */
	DROP_TOO_BIG,      /* for the path or the endpoint, and nobody can be told */
	DROP_NO_TRANSIT,   /* the agent's tail call found no transit */
	DROP_KIND,         /* an endpoint or route of a kind that this library does not know */
	DROP_UNSUPPORTED,  /* this kernel cannot do that to this packet */
	DROP_MODIFY,       /* the kernel refused to resize the packet */

	/* Drops: functions. */
	DROP_FUNCTION =
		88, /* a function said so, and no reason of its own; or its successor is missing */
	DROP_FUNCTION_LENGTH, /* a function changed the packet's length */
	DROP_FUNCTION_PASS,   /* a function gave what an endpoint sent to the host's stack */
	DROP_NO_FUNCTION,     /* the first function of a chain is not there for this hook */

	REASON_FUNCTION_FIRST =
		96, /* no reason: numbers from here on are given to those of functions */
	REASON_MAX = 256,
};

#endif

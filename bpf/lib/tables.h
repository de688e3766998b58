/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every table that user space and the programs share: keys, values and maps. This is the one
 * definition; Go uses what bpf2go makes of it.
 *
 * Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. Everything else is in host order
 * unless its type is __be. Structs have no holes: padding is named, and zero.
 */
#ifndef MIZAR_TABLES_H
#define MIZAR_TABLES_H

#define MIZAR_LIBRARY
#include "../function.h"
#include "reason.h"

#define SET_MEMBERS 64
#define SET_SLOTS 1021 /* a prime, some 16 slots a member when the set is full */

/* What is set once when a data-plane is made, and read by every packet. */
struct settings {
	__u32 fib_ifindex;   /* our device with forwarding on, where route lookups start */
	__u16 port;          /* UDP port of Geneve, host order */
	__u16 option_class;  /* class of our Geneve options */
	__u64 direct_age_ns; /* a learned host is forgotten so long after the last packet from it */
	__u64 path_age_ns;   /* a learned path MTU is forgotten so long after it was learned */
	__u64 refresh_ns;    /* how often XDP lets the kernel see a packet to a next hop */
	__u32 events_per_second; /* for each CPU; 0: none */
	__u32 layout;            /* of the tables: TABLES_LAYOUT */
	__u32 stages;            /* bit `stage`: somebody has functions there */
	__u32 pad;
	__u64 netns;  /* cookie of the network namespace that the data-plane belongs to */
	__u64 build;  /* of the programs: another library replaces them */
	__u64 secret; /* what XDP tells tcx behind it has it: nobody else can */
};

#define TABLES_LAYOUT 2

/* droplets: interfaces on the substrate. */
enum droplet_flags {
	DROPLET_XDP = 1 << 0, /* transit runs in XDP here, tcx behind it */
	DROPLET_TX = 1 << 1,  /* its driver sends what XDP_TX gives it by itself */
};

struct droplet {
	struct address source4; /* outer source for IPv4, zero: none */
	struct address source6;
	__u8 mac[6];
	__u16 mtu; /* of the interface: IP packets up to this leave whole */
	enum droplet_flags flags;
	__u32 traffic; /* slot in `traffic` */
	__u64 cookie;
};

/* agents, endpoints, networks, vpcs: ../function.h has the types. */

/* sets: hosts to choose from, never changed once published. */
enum set_flags {
	SET_SELF = 1 << 0, /* one of the members is this host */
};

struct set {
	__u32 count;
	enum set_flags flags;
	struct address members[SET_MEMBERS];
	__u8 slots[SET_SLOTS]; /* Maglev: slot -> index into members */
	__u8 pad[3];
};

/* peers: who may send us tunnel packets. */
struct peer_key {
	__u32 prefixlen; /* the prefix's bits, + 96 for IPv4 */
	struct address addr;
};

struct peer {
	__u32 flags;
	__u32 pad;
	__u64 cookie;
};

/* allowed: prefixes that an endpoint may send from beside its addresses. */
struct allowed_key {
	__u32 prefixlen; /* 32 + the prefix's bits, + 96 for IPv4 */
	__be32 ifindex;  /* big-endian: matched bit by bit */
	struct address addr;
};

/* directs: learned hosts of endpoints. */
enum direct_flags {
	DIRECT_GONE =
		1 << 0, /* it is not there any more: the host may only return what was under way */
};

struct direct {
	struct address host;
	__u64 generation; /* of the VPC when it was learned */
	__u64 seen;       /* CLOCK_MONOTONIC, ns: last received from there */
	enum direct_flags flags;
	__u32 pad;
};

/* Where a packet to a host leaves, and how: from the routes, the neighbours and the droplet's row. */
struct hop {
	struct address source; /* outer source */
	struct address via;    /* next hop; IPv4's four bytes come first */
	__u32 ifindex;         /* 0: not known */
	__u32 traffic;         /* the droplet's slot */
	__u32 mtu;             /* of the device, or the smaller one that the kernel knows of */
	__u8 dmac[6];
	__u8 smac[6];
	__u8 v6;     /* the host's family */
	__u8 via_v6; /* the next hop's */
	__u8 tx;     /* XDP_TX works there */
	__u8 kernel; /* XDP does not send there by itself */
};

/* paths: what is known of the way to a host. */
struct path {
	__u64 expires;       /* CLOCK_MONOTONIC, ns; of the MTU */
	__u64 refreshed;     /* the kernel's neighbour table last saw a packet for it */
	__u64 looked;        /* when `hop` was looked up; 0: it is not to be used */
	struct address host; /* the key's again: the row may be another's by the time it is read */
	struct hop hop;
	__u32 mtu; /* learned; 0: none */
	__u32 pad;
};

/* Functions in the slots of `stages_xdp` and `stages_tcx` from `first` on. */
struct chain {
	__u16 first;
	__u16 count; /* 0: none */
};

/* chains: those of the host (0, 0), of a VPC (vni, 0) or of an endpoint here. */
struct chain_key {
	__u32 vni;
	__u32 ifindex;
};

struct chains {
	struct chain stage[STAGES];
	__u32 vni; /* the key's again: the row may be another's by the time it is read */
	__u32 ifindex;
};

/*
 * The first slots of `stages_xdp` and `stages_tcx`: where chains come back to transit, and in the slot after it
 * to the agent. Programs that take the place of others have the other two, so that what was under way goes
 * back to where it came from.
 */
enum slot {
	SLOT_NONE = 0,
	SLOT_ENDS = 1,
	SLOT_OTHER_ENDS = 3,
	SLOT_FIRST = 5, /* of those for functions */
};

/* reasons: names of the reasons to drop that functions brought, from REASON_FUNCTION_FIRST on. */
struct reason_name {
	__u8 name[64];
};

/*
 * epochs: programs keep what they looked up for a moment. It is void when the sum of these is another. No
 * value comes again: user space writes the time, programs add one.
 */
enum epoch {
	EPOCH_TABLES =
		0,   /* user space changed settings, droplets, addresses, agents, peers or paths */
	EPOCH_PATHS, /* a packet taught another MTU of a path */
	EPOCHS,
};

/* restore: an interface as it was found, kept by user space only. */
struct restore {
	__u64 feature_mask[2]; /* settings changed: bits of enum restore_feature in Go */
	__u64 feature_was[2];
	__u64 device; /* the interface's permanent identity as user space sees it: tells a reused ifindex */
	__u32 gso_max_size;
	__u32 gro_max_size;
	__u8 role;   /* of user space: droplet, endpoint's host side, adopted */
	__u8 mode;   /* how the programs are attached, as user space counts modes */
	__u16 qdisc; /* clsact was added by us */
	__u8 name[16];
	__u32 pad;
};

struct counter {
	__u64 packets;
	__u64 bytes; /* of frames, as the program saw them first */
};

struct traffic {
	__u64 rx_packets; /* droplet: tunnel packets taken; endpoint: delivered to it */
	__u64 rx_bytes;
	__u64 tx_packets; /* droplet: tunnel packets sent; endpoint: accepted from it */
	__u64 tx_bytes;
};

/* events: one record a sampled drop. */
enum hook {
	HOOK_TRANSIT_XDP = 1,
	HOOK_TRANSIT_TCX,
	HOOK_AGENT_XDP,
	HOOK_AGENT_TCX,
};

#define EVENT_BYTES 128

struct event {
	__u64 time; /* CLOCK_MONOTONIC, ns */
	enum reason reason;
	__u32 ifindex;         /* where the packet came in */
	__u32 vni;             /* 0 where not known yet */
	__u32 length;          /* of the frame */
	struct address outer;  /* outer source; zero where none */
	struct address source; /* inner; zero where not known yet */
	struct address destination;
	__u32 captured; /* bytes of the frame that follow */
	enum hook hook;
	__u8 bytes[EVENT_BYTES];
};

struct event_limit {
	__u64 window; /* second that `count` speaks of */
	__u64 count;
	__u64 lost; /* not reported: rate or ring full */
};

/*
 * The maps. Sizes are defaults; user space sets others when it makes them. Hashes are not
 * preallocated where a value is big or most would stay empty. RDONLY_PROG: only user space writes.
 */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct droplet);
} droplets SEC(".maps");

/* Every underlay address of ours -> ifindex of a droplet that has it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct address);
	__type(value, __u32);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct agent);
} agents SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1048576);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct endpoint_key);
	__type(value, struct endpoint);
} endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct network_key);
	__type(value, struct network);
} networks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct vpc);
} vpcs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct set);
} sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct peer_key);
	__type(value, struct peer);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct allowed_key);
	__type(value, __u32);
} allowed SEC(".maps");

/* LRU: packets write it, so it may not fill up. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct endpoint_key);
	__type(value, struct direct);
} directs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct address);
	__type(value, struct path);
} paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct chain_key);
	__type(value, struct chains);
} chains SEC(".maps");

/* A prog array takes the type of its first program for good: there is one for each. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4096);
	__type(key, enum slot);
	__type(value, __u32);
} stages_xdp SEC(".maps"), stages_tcx SEC(".maps");

/* One packet at a time on a CPU: what its functions are told. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mizar_packet);
} function_packet SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REASON_MAX - REASON_FUNCTION_FIRST);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct reason_name);
} reasons SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EPOCHS);
	__type(key, enum epoch);
	__type(value, __u64);
} epochs SEC(".maps");

/* For user space alone; pinned with the rest so that another process can put things back. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct restore);
} restore SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASON_MAX);
	__type(key, __u32);
	__type(value, struct counter);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct traffic);
} traffic SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event_limit);
} event_limits SEC(".maps");

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Geneve (RFC 8926): header and options. */
#ifndef MIZAR_GENEVE_H
#define MIZAR_GENEVE_H

struct geneve {
	__u8 version_length; /* 2 bits version, 6 bits length of the options in words */
	__u8 flags;
	__be16 protocol;
	__be32 vni; /* the upper 24 bits */
};

#define GENEVE_VERSION 0xc0
#define GENEVE_LENGTH 0x3f
#define GENEVE_CONTROL 0x80
#define GENEVE_CRITICAL 0x40

struct geneve_option {
	__be16 class;
	__u8 type;
	__u8 length; /* 3 bits reserved, 5 bits words after these */
};

#define OPTION_CRITICAL 0x80
#define OPTION_LENGTH 0x1f
#define OPTIONS_MAX 63

#define OPTION_RTS 0x01

struct option_rts {
	struct geneve_option option;
	__u8 hops;
	__u8 pad[3];
	struct address host;
};

#define RTS_WORDS 6 /* of the whole option */
#define RTS_HOPS 4

#endif

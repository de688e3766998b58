/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one place for UAPI constants that are newer than Debian's headers (6.1), and for what UAPI lacks. */
#ifndef MIZAR_COMPAT_H
#define MIZAR_COMPAT_H

#define ADJ_ROOM_DECAP_L3_IPV4 (1ULL << 7) /* 6.3 */
#define ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8) /* 6.3 */

#define AF_INET 2
#define AF_INET6 10

#define EALREADY 114

#define ETH_P_8021Q 0x8100
#define ETH_P_8021AD 0x88A8
#define ETH_P_TEB 0x6558

#endif

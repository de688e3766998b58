// SPDX-License-Identifier: Apache-2.0

// Package life is the daemon's between its start and its end, as its service manager sees it. Ready is said once
// calls are let in; the watchdog is fed while the daemon is well; SIGTERM and SIGINT drain it, and a second one
// ends it at once. SIGHUP does nothing: certificates are read anew by themselves, and for the rest a restart
// disturbs no packet.
//
// Without a service manager ($NOTIFY_SOCKET, $WATCHDOG_USEC), signals are all there is to it. It takes no
// capability.
package life

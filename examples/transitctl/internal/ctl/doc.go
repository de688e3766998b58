// SPDX-License-Identifier: Apache-2.0

// Package ctl is transitctl: a command line over the daemon's API.
//
// What there is to say about each noun — its key, its columns, its flags, its calls — is in one table (see noun);
// the verbs are written once, over that table and over what protobuf tells of the messages. [Run] is the whole
// program: it takes nothing from the process but the environment, starts nothing that outlives it, and closes its
// connections.
package ctl

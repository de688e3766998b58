// SPDX-License-Identifier: Apache-2.0

// Package server serves package host over Connect: one type for each service of mizar.dataplane.v1. It reads requests,
// writes answers, and gives every error its code and its detail; who may call what is decided before (package listen).
package server

// SPDX-License-Identifier: Apache-2.0

// Package daemon puts the parts of the transit daemon together: it opens the host, serves it, shows its metrics, and
// ends in order. It takes what packages host, listen and metrics take.
package daemon

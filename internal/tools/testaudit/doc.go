// SPDX-License-Identifier: Apache-2.0

// Testaudit reads what go test -json says, prints it for people, and fails where go test would not: when
// a test was skipped that is not on the list, and when nothing ran.
//
//	go test -json ./... | testaudit [-skips FILE | -skips any]
//
// A line of the list is a package, a regular expression for the test's whole name, and the reason why it
// may be skipped; # starts a comment. With -skips any a skip only has to say what it lacks.
package main

// SPDX-License-Identifier: Apache-2.0

package bpf

//go:generate env GOWORK=off go tool -modfile=../internal/tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -output-suffix _test -no-global-types -type template bench bench.bpf.c -- -O2 -g -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Werror -I/usr/include/x86_64-linux-gnu

// SPDX-License-Identifier: Apache-2.0

package main

//go:generate env GOWORK=off go tool -modfile=../../internal/tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -no-global-types -type source -type rule firewall firewall.bpf.c -- -O2 -g -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Werror -I/usr/include/x86_64-linux-gnu
//go:generate env GOWORK=off go tool -modfile=../../internal/tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -no-global-types -type bucket limiter limiter.bpf.c -- -O2 -g -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Werror -I/usr/include/x86_64-linux-gnu
//go:generate env GOWORK=off go tool -modfile=../../internal/tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -no-global-types -type copied mirror mirror.bpf.c -- -O2 -g -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Werror -I/usr/include/x86_64-linux-gnu
//go:generate env GOWORK=off go tool -modfile=../../internal/tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -no-global-types -type flow -type lost droplog droplog.bpf.c -- -O2 -g -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Werror -I/usr/include/x86_64-linux-gnu

// SPDX-License-Identifier: Apache-2.0

package bpf

// The compiler, its flags and the sources of the objects are named here and nowhere else. One object
// holds the tables and lends their types to Go; two hold the programs. bpf2go and stringer are pinned
// in internal/tools/go.mod, which is no member of the workspace; clang and the headers come from Debian.

//go:generate env GOWORK=off go tool -modfile=../internal/tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -type reason -type hook -type droplet_flags -type agent_flags -type endpoint_kind -type network_kind -type network_flags -type vpc_flags -type set_flags -type direct_flags -type epoch -type stage -type chain -type slot -type mizar_flags -type event Table tables.bpf.c -- -O2 -g -mcpu=v3 -Wall -Wextra -Werror -I/usr/include/x86_64-linux-gnu
//go:generate env GOWORK=off go tool -modfile=../internal/tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -no-global-types XDP xdp.bpf.c -- -O2 -g -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Wno-address-of-packed-member -Werror -I/usr/include/x86_64-linux-gnu
//go:generate env GOWORK=off go tool -modfile=../internal/tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel,bpfeb -no-global-types TCX tcx.bpf.c -- -O2 -g -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Wno-address-of-packed-member -Werror -I/usr/include/x86_64-linux-gnu
//go:generate env GOWORK=off go tool -modfile=../internal/tools/go.mod stringer -type TableReason -trimprefix TableReason -output reason_string.go
//go:generate sed -i "s/TableReason) String()/TableReason) name()/" reason_string.go
//go:generate env GOWORK=off go tool -modfile=../internal/tools/go.mod stringer -type TableHook -trimprefix TableHookHOOK_ -output hook_string.go

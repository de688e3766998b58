# What a developer does here. Tools are pinned in internal/tools/go.mod; what comes from Debian is
# installed when it is missing.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Both modules. internal/tools is no member of the workspace: its tools are no dependency of anybody.
PACKAGES := ./... ./examples/...
BPF_C    := bpf/*.c bpf/*.h bpf/lib/*.h internal/probe/*.c examples/functions/*.c
TOOLS    := .tools
IN_TOOLS := env GOWORK=off go -C internal/tools

# vm-test: what runs a command in a VM, as in `$(RUN_ON_KERNEL) 6.1 -- COMMAND`, and in which.
RUN_ON_KERNEL ?=
KERNEL        ?= 6.1
VM_PACKAGES   ?= ./bpf/...

.PHONY: help
help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: generate
generate: clang proto ## compile the BPF programs, and what Go uses of them and of the daemon's API
	go generate $(PACKAGES)

API   := examples/api
PROTO := $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-connect-go

.PHONY: proto
proto: $(PROTO)
	cd $(API) && PATH=$(CURDIR)/$(TOOLS):$$PATH buf generate

.PHONY: test
test: ## test both modules; as root, or most of it is skipped
	go test -timeout=20m $(PACKAGES)

# go test PACKAGE... as CI runs it: counted, audited for skips ($(1)), with other flags ($(2)).
audited = go test -json -count=1 -race -shuffle=on -timeout=30m $(2) $(PACKAGES) | $(TOOLS)/testaudit -skips $(1)

.PHONY: test-ci
test-ci: $(TOOLS)/testaudit $(TOOLS)/grpcurl ## test both modules as CI does: race detector, random order, no skips
	CI=true GRPCURL=$(CURDIR)/$(TOOLS)/grpcurl $(call audited,.ci/skips,)

.PHONY: test-nobody
test-nobody: $(TOOLS)/testaudit ## test both modules without privileges (as root: lets go of them)
	CI= $(call audited,any,-exec $(CURDIR)/.ci/as-nobody)

.PHONY: lint
lint: vet staticcheck imports api tools-test cross formatted ## vet, staticcheck, import rules, the API, formatting

.PHONY: vet
vet:
	go vet $(PACKAGES)

.PHONY: staticcheck
staticcheck: $(TOOLS)/staticcheck
	$(TOOLS)/staticcheck $(PACKAGES)

.PHONY: imports
imports: $(TOOLS)/depguard
	$(TOOLS)/depguard $(PACKAGES)
	bash .ci/dependencies

# The API keeps what it promised: baseline.binpb is what it was at the last release (make api-baseline).
.PHONY: api
api: $(TOOLS)/buf
	cd $(API) && $(CURDIR)/$(TOOLS)/buf lint
	cd $(API) && $(CURDIR)/$(TOOLS)/buf format --diff --exit-code
	cd $(API) && $(CURDIR)/$(TOOLS)/buf breaking --against baseline.binpb

.PHONY: api-baseline
api-baseline: $(TOOLS)/buf ## promise the API of the daemon as it is now
	cd $(API) && $(CURDIR)/$(TOOLS)/buf build --exclude-source-info -o baseline.binpb

.PHONY: tools-test
tools-test:
	$(IN_TOOLS) vet ./...
	$(IN_TOOLS) test ./...

# That it compiles: 64 bit Arm, and a big-endian machine.
.PHONY: cross
cross:
	for arch in arm64 s390x; do GOARCH=$$arch CGO_ENABLED=0 go build ./...; done

.PHONY: formatted
formatted: clang-format
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); \
		[ -z "$$unformatted" ] || { echo "gofmt would change (make fmt):" $$unformatted; exit 1; }
	clang-format-19 --dry-run --Werror $(BPF_C)

.PHONY: fmt
fmt: clang-format $(TOOLS)/buf ## format Go, C and protobuf
	git ls-files '*.go' | xargs gofmt -w
	clang-format-19 -i $(BPF_C)
	cd $(API) && $(CURDIR)/$(TOOLS)/buf format -w

.PHONY: cover
cover: ## test both modules, and say how much of the code that runs; cover.out has the lines
	go test -timeout=20m -coverpkg=github.com/mizar-go/mizar/... -coverprofile=cover.out $(PACKAGES)
	go tool cover -func=cover.out | tail -n 1

.PHONY: vm-test
vm-test: qemu ## test on another kernel: RUN_ON_KERNEL=command KERNEL=6.1
	@[ -n "$(RUN_ON_KERNEL)" ] || { echo "vm-test takes RUN_ON_KERNEL: what runs a command in a VM" >&2; exit 1; }
	mkdir -p $(TOOLS)
	CGO_ENABLED=0 go test -p 1 -count=1 -timeout=60m -exec '$(RUN_ON_KERNEL) --timeout 3000 $(KERNEL) --' $(VM_PACKAGES)
	CGO_ENABLED=0 go test -count=1 -timeout=60m -run KernelGenevePeer \
		-exec '$(RUN_ON_KERNEL) --timeout 3000 $(KERNEL) --' ./dataplane
	CGO_ENABLED=0 go build -o $(TOOLS)/ ./examples/quickstart ./examples/functions ./examples/transitd ./examples/transitctl
	CGO_ENABLED=0 go build -o $(TOOLS)/demo ./examples/transitd/demo
	$(RUN_ON_KERNEL) --timeout 1800 $(KERNEL) -- $(CURDIR)/$(TOOLS)/quickstart
	$(RUN_ON_KERNEL) --timeout 1800 $(KERNEL) -- $(CURDIR)/$(TOOLS)/functions
	$(RUN_ON_KERNEL) --timeout 1800 $(KERNEL) -- $(CURDIR)/$(TOOLS)/demo -bin $(CURDIR)/$(TOOLS)

.PHONY: systemd-test
systemd-test: ## test the unit of transitd under a systemd of its own; as root
	@bash .ci/apt-install iproute2 iputils-ping systemd util-linux
	CGO_ENABLED=0 go build -o $(TOOLS)/ ./examples/transitd ./examples/transitctl
	bash .ci/systemd-test $(TOOLS)

PROMETHEUS := $(TOOLS)/prometheus/usr/bin

.PHONY: metrics-test
metrics-test: $(TOOLS)/prometheus ## test the alerts and the dashboard of transitd with a real Prometheus; as root
	$(PROMETHEUS)/promtool check rules examples/transitd/deploy/alerts.yaml
	$(PROMETHEUS)/promtool test rules examples/transitd/deploy/alerts_test.yaml
	PROMETHEUS=$(CURDIR)/$(PROMETHEUS) go test -count=1 -run TestPrometheus ./examples/transitd

.PHONY: ci
ci: ## all that CI does; on a clean tree, as root
	bash .ci/run

.PHONY: tools
tools: clang clang-format $(PROTO) $(TOOLS)/staticcheck $(TOOLS)/depguard $(TOOLS)/testaudit ## install what the rest needs

.PHONY: clang
clang:
	@bash .ci/apt-install clang-19 llvm-19 libbpf-dev linux-libc-dev

.PHONY: clang-format
clang-format:
	@bash .ci/apt-install clang-format-19

.PHONY: openvswitch
openvswitch: ## install Open vSwitch; without it, tests of bridges of it are skipped
	@bash .ci/apt-install openvswitch-switch

.PHONY: qemu
qemu:
	@bash .ci/apt-install qemu-system-x86 busybox-static cpio xz-utils

# Unpacked, not installed: the package has a service, which would be started.
$(TOOLS)/prometheus:
	rm -rf $@.new && mkdir -p $@.new
	[ "$$(id -u)" != 0 ] || apt-get -qq update
	cd $@.new && apt-get -qq -o APT::Sandbox::User=root download prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb
	mv $@.new $@

$(TOOLS)/staticcheck: internal/tools/go.mod
	$(IN_TOOLS) build -o ../../$@ honnef.co/go/tools/cmd/staticcheck

$(TOOLS)/depguard: internal/tools/go.mod
	$(IN_TOOLS) build -o ../../$@ github.com/OpenPeeDeeP/depguard/v2/cmd/depguard

$(TOOLS)/buf: internal/tools/go.mod
	$(IN_TOOLS) build -o ../../$@ github.com/bufbuild/buf/cmd/buf

$(TOOLS)/protoc-gen-go: internal/tools/go.mod
	$(IN_TOOLS) build -o ../../$@ google.golang.org/protobuf/cmd/protoc-gen-go

$(TOOLS)/protoc-gen-connect-go: internal/tools/go.mod
	$(IN_TOOLS) build -o ../../$@ connectrpc.com/connect/cmd/protoc-gen-connect-go

$(TOOLS)/grpcurl: internal/tools/go.mod
	$(IN_TOOLS) build -o ../../$@ github.com/fullstorydev/grpcurl/cmd/grpcurl

$(TOOLS)/testaudit: internal/tools/go.mod $(wildcard internal/tools/testaudit/*.go)
	$(IN_TOOLS) build -o ../../$@ ./testaudit

.PHONY: clean
clean: ## remove what make built
	rm -rf $(TOOLS) cover.out

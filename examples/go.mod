module github.com/mizar-go/mizar/examples

go 1.26.0

replace github.com/mizar-go/mizar => ..

require (
	github.com/cilium/ebpf v0.22.0
	github.com/mizar-go/mizar v0.0.0-00010101000000-000000000000
	github.com/stretchr/testify v1.12.1
	github.com/vishvananda/netlink v1.3.1
	github.com/vishvananda/netns v0.0.5
	go.yaml.in/yaml/v3 v3.0.5
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.49.0
)

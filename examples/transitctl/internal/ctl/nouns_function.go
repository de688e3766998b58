// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// functionNouns are the programs in the packets' way.
func functionNouns() []*noun {
	return []*noun{{
		name: "function", plural: "functions", aliases: []string{"fn"}, kind: v1.Kind_KIND_FUNCTION,
		short: "network functions that are loaded",
		key:   []string{"name"}, keyHelp: "NAME",
		verb: create, example: "transitctl create function firewall -f firewall_bpfel.o --variable limit=e8030000",
		flags: []flag{{name: "variable", usage: "NAME=HEX: a global variable's bytes, in host order", set: setVariable}},
		columns: append([]column{
			col("NAME", "name"), col("XDP", "status.xdp"), col("MAPS", "status.maps"), col("REASONS", "status.reasons"),
		}, wide(col("SHA256", "status.object_sha256"))...),
		put: unary((*api).LoadFunction), remove: unary((*api).RemoveFunction), get: unary((*api).GetFunction), list: unary((*api).ListFunctions),
	}, {
		name: "function-map", plural: "function-maps", within: true,
		short: "entries of a function's own map",
		key:   []string{"function", "map"}, keyHelp: "FUNCTION/MAP",
		columns: []column{col("KEY", "key"), col("VALUE", "value")},
		list:    stream((*api).ListFunctionMap),
	}, {
		name: "stage", plural: "stages", kind: v1.Kind_KIND_STAGE,
		short: "which packets run through which functions",
		key:   []string{"scope.point", "scope.vni", "scope.address"}, keyHelp: "POINT[/VNI[/ADDRESS]]",
		readKey: stageKey, showKey: showStageKey,
		verb: set, example: "transitctl set stage deliver/7 --function firewall,counter",
		flags: []flag{{name: "function", path: "functions", keys: "function", usage: "functions, in the order in which packets run through them"}},
		columns: []column{
			col("POINT", "scope.point"), col("VNI", "scope.vni"), col("ADDRESS", "scope.address"), col("FUNCTIONS", "functions"),
		},
		put: unary((*api).SetStage), remove: unary((*api).ClearStage), get: unary((*api).GetStage), list: unary((*api).ListStages),
	}}
}

func setVariable(m proto.Message, text string) error {
	name, value, _ := strings.Cut(text, "=")
	b, err := hexBytes(value)
	if err != nil || name == "" {
		return fmt.Errorf("%q does not read NAME=HEX", text)
	}
	f := m.(*v1.Function)
	if f.Variables == nil {
		f.Variables = map[string][]byte{}
	}
	f.Variables[name] = b
	return nil
}

// hexBytes reads bytes as tables show them: in hex, with or without 0x, spaces and colons.
func hexBytes(text string) ([]byte, error) {
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", ":", "").Replace(strings.TrimPrefix(text, "0x")))
	if err != nil || len(b) == 0 {
		return nil, errors.New("not bytes in hex")
	}
	return b, nil
}

// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Through this package gopacket would come into programs. Only tests may import it.
func TestOnlyTestsImportThis(t *testing.T) {
	const self = "github.com/mizar-go/mizar/internal/packet"
	root := filepath.Join("..", "..")
	files := 0
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		files++
		for _, i := range f.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			require.NotEqual(t, self, name, path)
			if filepath.Dir(path) != filepath.Join(root, "internal", "packet") {
				require.NotContains(t, name, "github.com/gopacket/", path)
			}
		}
		return nil
	}))
	require.Greater(t, files, 30, "is %s the repository?", root)
}

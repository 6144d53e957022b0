package gateway_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConstructorsHaveExamples holds the rule that what a reader is to call
// first is shown at work: every exported function that returns a type of its
// own package. What serves tests only is left out: it takes a *testing.T.
func TestConstructorsHaveExamples(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(folder string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.IsDir():
			return err
		case strings.HasPrefix(d.Name(), ".") && folder != ".", folder == "examples",
			d.Name() == "testdata", d.Name() == "internal", d.Name() == "protocoltest", d.Name() == "audittest":
			return fs.SkipDir
		}
		names, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range names {
			f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			if f.Name.Name != "main" {
				files = append(files, f)
			}
		}
		if len(files) == 0 {
			return nil
		}
		pkg, err := doc.NewFromFiles(fset, files, module+"/"+filepath.ToSlash(folder))
		if err != nil {
			return err
		}
		for _, typ := range pkg.Types {
			for _, f := range typ.Funcs {
				if seen++; len(f.Examples) == 0 {
					t.Errorf("%s: %s has no example", folder, f.Name)
				}
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, seen, 40, "the tree was not found")
}

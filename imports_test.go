package gateway_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/sallyport-dev/gateway"

// house says what each part may import of this module, beside itself: "*"
// stands for each part of its own at that place, "..." for everything.
var house = map[string][]string{
	".":                        {"protocol", "middleware", "middleware/config", "audit"}, // the face: never a connector
	"protocol":                 {},                                                       // the vocabulary
	"mask":                     {},                                                       // serves without a gateway
	"approval":                 {"protocol"},
	"audit":                    {"protocol"},
	"middleware":               {"protocol", "mask", "approval", "audit"},
	"middleware/*":             {"middleware", "protocol", "mask", "approval", "audit"}, // a heavy dependency each
	"protocol/*":               {"protocol", "protocol/internal"},                       // connectors: never a step
	"protocol/internal":        {"protocol"},
	"protocol/protocoltest":    {".", "middleware", "protocol"}, // judges connectors in a whole gateway
	"protocol/postgres/bench":  {"..."},                         // a program that measures the whole
	"protocol/httpproxy/bench": {"..."},
	"protocol/ssh/bench":       {"..."},
	"protocol/mysql/bench":     {"..."},
	"examples":                 {"..."},
}

// part returns the part of the house that a folder belongs to: protocol and
// middleware are parts, and so is each folder directly below them.
func part(folder string) string {
	dirs := strings.Split(folder, "/")
	switch {
	case house[folder] != nil:
		return folder
	case len(dirs) > 1 && (dirs[0] == "protocol" || dirs[0] == "middleware"):
		return dirs[0] + "/" + dirs[1]
	}
	return dirs[0]
}

// mayImport reports whether the package in folder from may import the one in
// folder to.
func mayImport(from, to string) bool {
	from, to = part(from), part(to)
	may := house[from]
	if may == nil {
		may = house[path.Dir(from)+"/*"]
	}
	return from == to || slices.Contains(may, to) || slices.Contains(may, "...")
}

// heavy says where a large dependency may be imported, so that an embedder
// compiles only what it uses.
var heavy = map[string][]string{
	"cel.dev/":                       {"middleware/policy"},
	"github.com/google/cel-go":       {},
	"github.com/coreos/go-oidc":      {"middleware/oidc"},
	"golang.org/x/oauth2":            {"middleware/oidc"},
	"github.com/crewjam/":            {"middleware/saml"},
	"github.com/pganalyze/":          {"protocol/internal/pgsql"},
	"github.com/wasilibs/":           {"protocol/internal/pgsql"},
	"github.com/jackc/pgproto3":      {"protocol/postgres"},
	"github.com/jackc/pgx":           {"protocol/postgres/bench", "audit/postgres"}, // a client: for tests and stores
	"github.com/goccy/go-yaml":       {"middleware/config", "middleware/policy"},
	"k8s.io/":                        {"protocol/kubernetes"},
	"modernc.org/sqlite":             {"audit/sqlite"},
	"filippo.io/age":                 {"audit", "examples"},
	"go.opentelemetry.io/otel/sdk":   {"examples"},
	"go.opentelemetry.io/otel/":      {".", "middleware", "examples"},
	"go.uber.org/goleak":             {"protocol/protocoltest"},
	"github.com/stretchr/testify":    {"audit/store/storetest"}, // a kit for tests
	"github.com/rogpeppe/":           {},
	"pgregory.net/":                  {},
	"golang.org/x/crypto/ssh":        {"protocol/ssh", "examples"},
	"mvdan.cc/sh/":                   {"protocol/ssh"},
	"github.com/pkg/sftp":            {"examples"},
	"github.com/hinshun/":            {"protocol/ssh"},
	"github.com/go-mysql-org/":       {"protocol/mysql"},
	"github.com/pingcap/":            {"protocol/mysql", "protocol/internal"},
	"golang.org/x/text/secure/":      {"protocol/postgres", "middleware"},
	"google.golang.org/protobuf":     {"protocol/internal/pgsql", "middleware/policy", "protocol/httpproxy", "audit/export/otlp"},
	"github.com/prometheus/":         {"examples"},
	"github.com/klauspost/compress/": {"audit", "protocol/httpproxy"},
	"github.com/minio/":              {"audit/store/s3"},
	"github.com/johannesboyne/":      {}, // a small S3, for tests
	"github.com/parquet-go/":         {"audit/export/parquet"},
	"go.opentelemetry.io/proto/":     {"audit/export/otlp"},
	"github.com/transparency-dev/":   {"audit/witness"},
	"github.com/andybalholm/brotli":  {"protocol/httpproxy"},
}

// topLevel is all that the repository's first page shows, beside folders whose
// name begins with a dot and the root's tests.
var topLevel = []string{"README.md", "CHANGELOG.md", "LICENSE", "go.mod", "go.sum", "doc.go", "gateway.go",
	"protocol", "middleware", "mask", "approval", "audit", "examples"}

// mayUse reports whether a package in folder may import the dependency.
func mayUse(folder, dependency string) bool {
	best, ok := 0, true
	for prefix, folders := range heavy {
		if !strings.HasPrefix(dependency+"/", strings.TrimSuffix(prefix, "/")) || len(prefix) <= best {
			continue
		}
		best = len(prefix)
		ok = slices.ContainsFunc(folders, func(f string) bool {
			return folder == f || f != "." && strings.HasPrefix(folder, f+"/")
		})
	}
	return ok
}

// TestImports holds the rules that keep the vocabulary below, the face above
// and the connectors and steps apart.
func TestImports(t *testing.T) {
	fset := token.NewFileSet()
	files := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && name != "." || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files++
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: an init function: what a program does is readable in its main", fset.Position(fn.Pos()))
			}
		}
		if strings.HasSuffix(name, "_test.go") {
			return nil
		}
		folder := filepath.ToSlash(filepath.Dir(name))
		for _, i := range f.Imports {
			what, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			if what == module || strings.HasPrefix(what, module+"/") {
				to := strings.TrimPrefix(strings.TrimPrefix(what, module), "/")
				if to == "" {
					to = "."
				}
				if !mayImport(folder, to) {
					t.Errorf("%s: %s must not import %s", name, folder, to)
				}
			} else if !mayUse(folder, what) {
				t.Errorf("%s: %s is not a folder for %s", name, folder, what)
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, files, 50, "the tree was not found")
}

// TestRulesBite shows imports that the rules are there for.
func TestRulesBite(t *testing.T) {
	for _, c := range []struct {
		from, to string
		may      bool
	}{
		{"protocol", "middleware", false},
		{"protocol", "protocol/postgres", false},
		{"mask", "protocol", false},
		{"approval", "audit", false},
		{"approval", "approval/store", true},
		{"approval/postgres", "approval", true},
		{"nowhere", "protocol", false},
		{"audit/sqlite", "audit", true},
		{"audit/sqlite", "middleware", false},
		{"middleware", "middleware/policy", false},
		{"middleware/policy", "middleware", true},
		{"middleware/policy", "middleware/oidc", false},
		{"middleware/oidc/oidctest", "middleware/oidc", true},
		{"middleware", "protocol/postgres", false},
		{"middleware", ".", false},
		{"protocol/postgres", "protocol/internal/wire", true},
		{"protocol/postgres", "middleware", false},
		{"protocol/postgres", "protocol/mysql", false},
		{"protocol/internal/pgsql", "protocol/internal/sql", true},
		{"protocol/internal/sql", "protocol/postgres", false},
		{"protocol/protocoltest", ".", true},
		{"protocol/protocoltest/pgtest", "protocol/protocoltest/servers", true},
		{"protocol/protocoltest", "protocol/postgres", false},
		{".", "protocol/postgres", false},
		{".", "middleware", true},
		{".", "middleware/policy", false},
		{".", "approval", false},
		{"examples/gateway", "protocol/postgres", true},
	} {
		require.Equal(t, c.may, mayImport(c.from, c.to), "%s -> %s", c.from, c.to)
	}
	require.False(t, mayUse("middleware", "cel.dev/cel-go/cel"))
	require.False(t, mayUse(".", "go.opentelemetry.io/otel/sdk/trace"))
	require.False(t, mayUse("protocol", "github.com/jackc/pgx/v5"))
	require.False(t, mayUse("protocol/postgres", "github.com/pganalyze/pg_query_go/v6"))
	require.True(t, mayUse("middleware", "go.opentelemetry.io/otel/trace"))
	require.True(t, mayUse("protocol/internal/pgsql", "github.com/pganalyze/pg_query_go/v6"))
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "_test.go") || name == "bin" { // bin is ignored by git
			continue
		}
		require.Contains(t, topLevel, name, "the first page of the repository shows the project's parts and nothing else")
	}
}

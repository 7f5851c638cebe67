package caddymodule_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The rules of the repository that the compiler does not check.

const (
	module = "github.com/tokenep/caddy-tokenep"
	root   = ".."
)

// source is one Go file of the repository, tests included.
type source struct {
	path  string // relative to the root, with slashes
	lines int
	fset  *token.FileSet
	file  *ast.File
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) under(folder string) bool { return strings.HasPrefix(s.path, folder+"/") }

// sources parses every Go file of the repository, outside of testdata and hidden folders.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		lines := fset.File(file.Pos()).LineCount() - 1 // the last one is empty
		out = append(out, source{filepath.ToSlash(relative), lines, fset, file})
		return err
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("%d sources: %v", len(out), err)
	}
	return out
}

func within(pkg, tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") }

// forbidden names the packages that a folder must not import, directly or through others.
var forbidden = map[string][]string{
	"verify": {
		module + "/tokenep", module + "/caddymodule", "github.com/caddyserver", "go.uber.org/zap", "github.com/google/cel-go",
	},
	"tokenep": {
		module + "/caddymodule", "github.com/caddyserver", "go.uber.org/zap", "github.com/google/cel-go",
	},
	"caddymodule": {
		"github.com/google/cel-go",
	},
}

func TestImportsRunFromCaddymoduleToTokenepToVerify(t *testing.T) {
	for _, s := range sources(t) {
		for _, i := range s.file.Imports {
			imported := strings.Trim(i.Path.Value, `"`)
			for _, tree := range forbidden[strings.Split(s.path, "/")[0]] {
				if within(imported, tree) {
					t.Errorf("%s imports %s", s.path, imported)
				}
			}
		}
	}
}

func TestLibrariesLinkNothingOfCaddy(t *testing.T) {
	for folder, trees := range forbidden {
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags=nobadger,nomysql,nopgx", "./"+folder+"/...")
		list.Dir, list.Stderr = root, os.Stderr
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		for pkg := range strings.Lines(string(out)) {
			for _, tree := range trees {
				if pkg = strings.TrimSpace(pkg); within(pkg, tree) {
					t.Errorf("%s/... links %s", folder, pkg)
				}
			}
		}
	}
}

// A program that imports only the modules that it needs, instead of caddymodule, links no other
// engine than the one that it has chosen.
func TestOneStoreLinksNoOtherEngine(t *testing.T) {
	const pgx, redis = "github.com/jackc/pgx", "github.com/redis/go-redis"
	for chosen, others := range map[string][]string{
		"boltstore": {pgx, redis}, "memorystore": {pgx, redis}, "redisstore": {pgx}, "postgresstore": {redis},
	} {
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags=nobadger,nomysql,nopgx",
			"./oauthserver", "./oauthtoken", "./oauthverify", "./oauthadmin", "./oauthstore/"+chosen)
		list.Stderr = os.Stderr
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		for pkg := range strings.Lines(string(out)) {
			for _, other := range others {
				if pkg = strings.TrimSpace(pkg); within(pkg, other) {
					t.Errorf("with %s alone, %s is linked", chosen, pkg)
				}
			}
		}
	}
}

// In caddymodule every module may import the app and an issuer elsewhere, and neither of the two
// imports a module. Stores, handlers and the admin API do not import one another.
func TestModulesImportTheAppAlone(t *testing.T) {
	const tree = module + "/caddymodule/"
	for _, s := range sources(t) {
		if s.isTest() || !s.under("caddymodule") || path.Dir(s.path) == "caddymodule" || s.under("caddymodule/cmd") {
			continue
		}
		own := module + "/" + path.Dir(s.path)
		for _, i := range s.file.Imports {
			imported := strings.Trim(i.Path.Value, `"`)
			switch {
			case !strings.HasPrefix(imported, tree), strings.Contains(imported, "/internal/"):
			case own == tree+"oauthissuer", within(own, tree+"internal"):
				t.Errorf("%s imports %s", s.path, imported)
			case within(own, imported) && imported != own: // what modules of a namespace share
			case imported == tree+"oauthserver", imported == tree+"oauthissuer" && own != tree+"oauthserver":
			default:
				t.Errorf("%s imports %s", s.path, imported)
			}
		}
	}
}

// TestEachPackageHasOneComment requires it in doc.go, where a reader looks for it. A command may
// have it in its only file.
func TestEachPackageHasOneComment(t *testing.T) {
	found := map[string][]string{}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		dir, name := path.Split(s.path)
		comments := found[dir]
		if s.file.Doc != nil {
			comments = append(comments, name)
			if s.file.Name.Name != "main" && name != "doc.go" {
				t.Errorf("%s: the package comment belongs in doc.go", s.path)
			}
		}
		found[dir] = comments
	}
	for dir, files := range found {
		if len(files) != 1 {
			t.Errorf("%s: %d package comments %v, want one", dir, len(files), files)
		}
	}
}

// TestProtocolFilesNameTheirRFC leaves out all.go, the list of a folder: its doc.go has the same
// list with the sections.
func TestProtocolFilesNameTheirRFC(t *testing.T) {
	rfc := regexp.MustCompile(`\bRFC \d{4}\b`)
	for _, s := range sources(t) {
		if s.isTest() || path.Base(s.path) == "all.go" || !slices.ContainsFunc([]string{"grant", "clientauth", "subject", "endpoint"}, func(f string) bool {
			return s.under("tokenep/" + f)
		}) {
			continue
		}
		if !slices.ContainsFunc(s.file.Comments, func(c *ast.CommentGroup) bool { return rfc.MatchString(c.Text()) }) {
			t.Errorf("%s: no comment names an RFC", s.path)
		}
	}
}

func TestFilesAndFunctionsStayShort(t *testing.T) {
	var files, functions []int
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		files = append(files, s.lines)
		if s.lines > 350 {
			t.Errorf("%s: %d lines, at most 350", s.path, s.lines)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line
			functions = append(functions, lines)
			if lines > 70 {
				t.Errorf("%s: %s has %d lines, at most 70", s.path, f.Name.Name, lines)
			}
		}
	}
	if m := quantile(files, 0.5); m >= 120 {
		t.Errorf("the median file has %d lines, want under 120", m)
	}
	if p := quantile(functions, 0.9); p >= 40 {
		t.Errorf("nine functions of ten have up to %d lines, want under 40", p)
	}
}

func quantile[T cmp.Ordered](values []T, q float64) T {
	slices.Sort(values)
	return values[int(float64(len(values)-1)*q)]
}

func TestExportedInterfacesAreFewAndSmall(t *testing.T) {
	var exported []string
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			i, ok := spec.Type.(*ast.InterfaceType)
			if !ok {
				return true
			}
			name := fmt.Sprintf("%s.%s", s.file.Name.Name, spec.Name.Name)
			if spec.Name.IsExported() {
				exported = append(exported, name)
			}
			if m := i.Methods.NumFields(); m > 5 {
				t.Errorf("%s: %s has %d methods, at most 5", s.path, name, m)
			}
			return true
		})
	}
	if len(exported) > 8 {
		t.Errorf("%d exported interfaces, at most 8: %v", len(exported), exported)
	}
}

func TestTopLevelHoldsOnlyWhatBelongsThere(t *testing.T) {
	belongs := strings.Fields(`caddymodule tokenep verify Caddyfile.example go.mod go.sum xcaddy.json README.md LICENSE
		.ci .github .golangci.yml .gitignore`)
	for _, name := range topLevel(t) {
		if !slices.Contains(belongs, name) {
			t.Errorf("%s does not belong at the top level", name)
		}
	}
}

// topLevel asks git, so that a binary that somebody has built does not count. Without a repository
// (a downloaded module) it reads the folder.
func topLevel(t *testing.T) []string {
	t.Helper()
	git := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard", "--directory")
	git.Dir = root
	out, err := git.Output()
	names := strings.Fields(string(out))
	if err != nil {
		entries, err := os.ReadDir(root)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	for i, name := range names {
		names[i], _, _ = strings.Cut(name, "/")
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestToolsStayOutOfGoMod(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		if strings.HasPrefix(line, "tool ") || strings.Contains(line, "golangci") {
			t.Errorf("go.mod has %q; tools belong in .ci/tools.mod", strings.TrimSpace(line))
		}
	}
}

func TestCIRunsTheTestCommandOfTheReadme(t *testing.T) {
	for _, name := range []string{"README.md", ".ci/run"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(string(text), "go test ./...") {
			t.Errorf("%s does not name the test command, go test ./...", name)
		}
	}
}

package caddymodule_test

import (
	"go/ast"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Rules for texts: complete maps of files, links that lead somewhere, names that mean something.

// TestPackageCommentsMapEveryFile requires that doc.go names each file of its package. A pattern
// such as command_*.go names all files that it matches.
func TestPackageCommentsMapEveryFile(t *testing.T) {
	named := regexp.MustCompile(`[\w*]+\.go\b`)
	maps := map[string][]string{}
	for _, s := range sources(t) {
		if path.Base(s.path) == "doc.go" {
			maps[path.Dir(s.path)] = named.FindAllString(s.file.Doc.Text(), -1)
		}
	}
	for _, s := range sources(t) {
		patterns, ok := maps[path.Dir(s.path)]
		name := path.Base(s.path)
		if s.isTest() || !ok || name == "doc.go" {
			continue
		}
		if !slices.ContainsFunc(patterns, func(p string) bool {
			fits, err := path.Match(p, strings.Replace(name, "_caddyfile.go", ".go", 1))
			return fits && err == nil
		}) {
			t.Errorf("%s is not in the map of doc.go", s.path)
		}
	}
	for dir, patterns := range maps {
		for _, p := range patterns {
			if found, err := filepath.Glob(filepath.Join(root, dir, p)); dir != "tokenep" && p != "x.go" && p != "x_caddyfile.go" && (len(found) == 0 || err != nil) {
				t.Errorf("%s/doc.go names %s, which is not there", dir, p)
			}
		}
	}
}

// TestLinksLeadSomewhere checks the relative links of the Markdown files.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	files := []string{filepath.Join(root, "README.md")}
	err := filepath.WalkDir(filepath.Join(root, ".github"), func(name string, _ fs.DirEntry, err error) error {
		if filepath.Ext(name) == ".md" {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), filepath.FromSlash(found[1]))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestOptionsHaveGoldens requires each word of the grammar in a Caddyfile that adapts, and in one
// that does not.
func TestOptionsHaveGoldens(t *testing.T) {
	goldens := map[bool]*strings.Builder{true: {}, false: {}}
	names, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		config, _, _ := strings.Cut(string(text), "----------")
		goldens[strings.HasPrefix(filepath.Base(name), "error_")].WriteString(config)
	}
	for _, s := range sources(t) {
		if !s.under("caddymodule") || !strings.HasSuffix(s.path, "caddyfile.go") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			clause, ok := n.(*ast.CaseClause)
			if !ok {
				return true
			}
			for _, value := range clause.List {
				word, ok := value.(*ast.BasicLit)
				if !ok {
					continue
				}
				option := strings.Trim(word.Value, `"`)
				for wrong, configs := range goldens {
					if !regexp.MustCompile(`(?m)^\s*` + option + `\b`).MatchString(configs.String()) {
						t.Errorf("%s: no golden has %s (as a mistake: %v)", s.path, option, wrong)
					}
				}
			}
			return true
		})
	}
}

// TestTypesAreNouns keeps out words that fit everything and say nothing.
func TestTypesAreNouns(t *testing.T) {
	empty := regexp.MustCompile(`(Manager|Provider|Strategy|Helper|Util|Utils|Base|Impl)$`)
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && empty.MatchString(spec.Name.Name) {
				t.Errorf("%s: the type %s is named by its place, not by what it is", s.path, spec.Name.Name)
			}
			return true
		})
	}
}

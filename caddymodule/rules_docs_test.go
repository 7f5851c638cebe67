package caddymodule_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
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

// checkReached returns what is wrong with routes of which one answers all requests and others stand
// behind it: Caddy's order of directives has respond before reverse_proxy.
func checkReached(adapted any) error {
	switch x := adapted.(type) {
	case []any:
		for i, element := range x {
			if err := checkReached(element); err != nil {
				return err
			}
			route, _ := element.(map[string]any)
			handlers, _ := route["handle"].([]any)
			if len(handlers) == 0 || route["match"] != nil || route["group"] != nil || i == len(x)-1 {
				continue
			}
			if last, _ := handlers[len(handlers)-1].(map[string]any); last["handler"] == "static_response" {
				return fmt.Errorf("respond answers all requests, so that none gets to %v: put that into a handle", x[i+1])
			}
		}
	case map[string]any:
		for _, member := range x {
			if err := checkReached(member); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestLinksOfDocsLeadSomewhere checks the relative links of the Markdown files: the file, and the
// heading behind a #, by the names that GitHub gives to headings.
func TestLinksOfDocsLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)|src="([^":]*)"`)
	for _, name := range markdownFiles(t) {
		for _, found := range link.FindAllStringSubmatch(prose(t, name), -1) {
			target := name
			if file := found[1] + found[3]; file != "" {
				target = filepath.Join(filepath.Dir(name), filepath.FromSlash(file))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if found[2] != "" && !slices.Contains(anchors(prose(t, target)), found[2]) {
				t.Errorf("%s: %s has no heading #%s", name, target, found[2])
			}
		}
	}
}

// TestLinksOfDocsToOthersAreWellFormed reads the links to other sites, which no test can follow:
// each is an https URL of a host, says no more than where something is, and is named as that: a
// file by its last segment, an RFC by its number.
func TestLinksOfDocsToOthersAreWellFormed(t *testing.T) {
	links := 0
	for _, name := range markdownFiles(t) {
		for _, found := range regexp.MustCompile(`\[([^\[\]]*)\]\(\s*(\w+:[^)]*)\)`).FindAllStringSubmatch(prose(t, name), -1) {
			links++
			if err := checkLink(strings.Join(strings.Fields(found[1]), " "), found[2]); err != nil {
				t.Errorf("%s: [%s](%s): %v", name, found[1], found[2], err)
			}
		}
	}
	if links < 50 {
		t.Errorf("%d links", links)
	}
	for _, wrong := range [][2]string{
		{"Caddy", "http://caddyserver.com"}, {"Caddy", "https:///docs"}, {"Caddy", "https://caddyserver"}, {"Caddy", "https://caddyserver.com/a b"},
		{"Caddy", "https://caddyserver.com/?utm_source=x"}, {"", "https://caddyserver.com"}, {"Dex: server/issuer.go", "https://github.com/dexidp/dex/blob/master/server/utils.go"},
		{"RFC 9068", "https://www.rfc-editor.org/rfc/rfc9608"}, {"tokens", "https://www.rfc-editor.org/rfc/rfc9068"}, {"RFC 9068", "https://example.com/9068"},
	} {
		if checkLink(wrong[0], wrong[1]) == nil {
			t.Errorf("[%s](%s) is let through", wrong[0], wrong[1])
		}
	}
}

func checkLink(text, link string) error {
	u, err := url.Parse(link)
	switch {
	case err != nil:
		return err
	case text == "":
		return errors.New("it has no name")
	case u.Scheme != "https" || !strings.Contains(u.Hostname(), ".") || u.User != nil || u.Port() != "" || u.RawQuery != "":
		return errors.New("it is no https URL of a host alone, without a query")
	case strings.ContainsAny(link, " \t\n\\"):
		return errors.New("it has a space")
	}
	if file := regexp.MustCompile(`[\w.-]+\.[a-z]{2,4}$`).FindString(text); file != "" && path.Base(u.Path) != file {
		return fmt.Errorf("the link leads to %s", path.Base(u.Path))
	}
	named := regexp.MustCompile(`RFC (\d+)`).FindAllStringSubmatch(text, -1)
	linked := regexp.MustCompile(`(?i)\brfc(\d+)`).FindAllStringSubmatch(u.Path, -1)
	if len(named) != len(linked) || len(named) > 0 && named[0][1] != linked[0][1] {
		return errors.New("the RFC in its name is another than that of the URL")
	}
	return nil
}

// prose returns the text of a Markdown file without its blocks of code.
func prose(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(string(text), "")
}

// anchors returns the names of the headings of a text.
func anchors(text string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

// markdownFiles returns the paths of the README, the manual and the texts in .github.
func markdownFiles(t *testing.T) []string {
	t.Helper()
	files := []string{filepath.Join(root, "README.md")}
	for _, folder := range []string{".github", "caddymodule/docs"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(name string, _ fs.DirEntry, err error) error {
			if filepath.Ext(name) == ".md" {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestErrorCodesOccurInScripts requires that a script shows each code that a client can see, in an
// answer or a challenge. The codes are read from the source, so that a new one is not forgotten.
func TestErrorCodesOccurInScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts: %v", len(scripts), err)
	}
	var all strings.Builder
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, s := range sources(t) {
		shown, least := "", 0
		switch s.path {
		case "tokenep/error.go":
			shown, least = `"error":"%s"`, 7 // RFC 6749 §5.2 has six, RFC 8707 §2 one
		case "verify/error.go":
			shown, least = `error="%s"`, 3 // RFC 6750 §3.1
		default:
			continue
		}
		codes := constants(s.file)
		if len(codes) < least {
			t.Errorf("%s has the codes %v, expected at least %d", s.path, codes, least)
		}
		for _, code := range codes {
			redirect := "error=" + code // RFC 6749 §4.1.2.1
			if !strings.Contains(all.String(), fmt.Sprintf(shown, code)) && !strings.Contains(all.String(), redirect) {
				t.Errorf("%s: no script shows %s", s.path, code)
			}
		}
	}
}

// constants returns the values of the string constants of a file.
func constants(file *ast.File) (values []string) {
	for _, d := range file.Decls {
		declaration, ok := d.(*ast.GenDecl)
		if !ok || declaration.Tok != token.CONST {
			continue
		}
		for _, spec := range declaration.Specs {
			for _, value := range spec.(*ast.ValueSpec).Values {
				if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					values = append(values, strings.Trim(literal.Value, `"`))
				}
			}
		}
	}
	return values
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
	for option, where := range options(t) {
		for wrong, configs := range goldens {
			if !regexp.MustCompile(`(?m)^\s*` + option + `\b`).MatchString(configs.String()) {
				t.Errorf("%s: no golden has %s (as a mistake: %v)", where, option, wrong)
			}
		}
	}
}

// options returns each word of the grammar, and where it is read: the cases of the parsers, and the
// tags of a client.
func options(t *testing.T) map[string]string {
	t.Helper()
	words := map[string]string{"secret": "client_caddyfile.go"}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[tokenep.Client]()) {
		if word := field.Tag.Get("option"); word != "" {
			words[word] = "tokenep/client.go"
		}
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
				if word, ok := value.(*ast.BasicLit); ok {
					words[strings.Trim(word.Value, `"`)] = s.path
				}
			}
			return true
		})
	}
	return words
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

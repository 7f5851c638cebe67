package adapt

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var optionTag = regexp.MustCompile(`option:"(\w+)"`)

// Every word that a block may have is in the list by which errors say what there is: the cases of
// what is switched by option, and the tags of the library's structures.
func TestOptionsOfAllBlocks(t *testing.T) {
	known := append(strings.Fields(options), "keep_authorization") // which says what to write now
	found := 0
	check := func(file, word string) {
		if found++; !slices.Contains(known, word) {
			t.Errorf("%s: %s is missing in options of unknown.go", file, word)
		}
	}
	for _, root := range []string{"../..", "../../../tokenep"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, tag := range optionTag.FindAllStringSubmatch(string(text), -1) {
				check(path, tag[1])
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
			if err == nil {
				ast.Inspect(file, func(n ast.Node) bool { return cases(n, func(word string) { check(path, word) }) })
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < len(known) {
		t.Errorf("%d words were found, fewer than there are", found)
	}
}

// cases calls check for the words of a switch over an option.
func cases(n ast.Node, check func(word string)) bool {
	if clauses, ok := n.(*ast.SwitchStmt); ok {
		if tag, ok := clauses.Tag.(*ast.Ident); ok && tag.Name == "option" {
			for _, clause := range clauses.Body.List {
				for _, expression := range clause.(*ast.CaseClause).List {
					if literal, ok := expression.(*ast.BasicLit); ok {
						word, _ := strconv.Unquote(literal.Value)
						check(word)
					}
				}
			}
		}
	}
	return true
}

package caddymodule_test

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// Comments and prose are read side by side with code: they end within 100 columns.

const (
	maxColumns = 100
	tabColumns = 4
)

func columns(line string) int {
	return utf8.RuneCountInString(strings.ReplaceAll(line, "\t", strings.Repeat(" ", tabColumns)))
}

// oneWord reports whether a text cannot be broken, such as a URL.
func oneWord(text string) bool { return len(strings.Fields(text)) <= 1 }

func TestCommentsEndWithin100Columns(t *testing.T) {
	for _, s := range sources(t) {
		lines := strings.Split(repositoryFile(t, s.path), "\n")
		for _, group := range s.file.Comments {
			for _, c := range group.List {
				if isOutput(c) {
					break // the rest of the group is what an example prints
				}
				first, last := s.fset.Position(c.Pos()).Line, s.fset.Position(c.End()).Line
				for n := first; n <= last; n++ {
					line := lines[n-1]
					if wide := columns(line); wide > maxColumns && !unbreakable(c) {
						t.Errorf("%s:%d: the comment ends in column %d, at most %d", s.path, n, wide, maxColumns)
					}
				}
			}
		}
	}
}

// isOutput reports whether a comment begins the expected output of an example.
func isOutput(c *ast.Comment) bool {
	return regexp.MustCompile(`(?i)^//\s*(unordered )?output:`).MatchString(c.Text)
}

// unbreakable reports whether a comment is a directive or one long word.
func unbreakable(c *ast.Comment) bool {
	return strings.HasPrefix(c.Text, "//go:") || strings.HasPrefix(c.Text, "//nolint") ||
		oneWord(strings.TrimPrefix(c.Text, "//"))
}

func TestProseEndsWithin100Columns(t *testing.T) {
	link := regexp.MustCompile(`^(- )?\[[^]]*\]\([^)]*\)[.,:;]?$`)
	for _, name := range markdownFiles(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fenced := false
		for n, line := range strings.Split(string(text), "\n") {
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			}
			switch {
			// Code, and a table.
			case fenced, strings.HasPrefix(line, "    "), strings.HasPrefix(line, "|"):
			case oneWord(line), link.MatchString(strings.TrimSpace(line)):
			case columns(line) > maxColumns:
				t.Errorf("%s:%d: the line ends in column %d, at most %d", filepath.ToSlash(name), n+1, columns(line), maxColumns)
			}
		}
	}
}

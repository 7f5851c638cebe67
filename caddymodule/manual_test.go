package caddymodule_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// What the README and the manual, caddymodule/docs, say is held by tests: the blocks of a Caddyfile
// by TestReadmeCaddyfilesAdapt, links by TestLinksOfDocsLeadSomewhere, and here the rest.

// manualPages returns the texts of the README and of the pages of the manual, by their paths in the
// repository.
func manualPages(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("docs/*.md")
	if err != nil || len(names) < 20 {
		t.Fatalf("%d pages: %v", len(names), err)
	}
	pages := map[string]string{"README.md": repositoryFile(t, "README.md")}
	for _, name := range names {
		name = "caddymodule/" + filepath.ToSlash(name)
		pages[name] = repositoryFile(t, name)
	}
	return pages
}

// TestDocsIndexHasEveryPage requires that somebody who has a question finds each page.
func TestDocsIndexHasEveryPage(t *testing.T) {
	index := repositoryFile(t, "caddymodule/docs/README.md")
	for name := range manualPages(t) {
		if file := filepath.Base(name); file != "README.md" && !strings.Contains(index, "]("+file+")") {
			t.Errorf("the index does not lead to %s", name)
		}
	}
}

// TestReadmeIsShort holds the README to less than 250 lines of 100 columns.
func TestReadmeIsShort(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(repositoryFile(t, "README.md"), "\n"), "\n")
	if len(lines) >= 250 {
		t.Errorf("%d lines, at most 249", len(lines))
	}
	for n, line := range lines {
		if columns(line) > maxColumns {
			t.Errorf("line %d ends in column %d, at most %d", n+1, columns(line), maxColumns)
		}
	}
}

// TestReadmeNamesEveryStandard compares the RFCs of the README with those of the page that says
// where each is.
func TestReadmeNamesEveryStandard(t *testing.T) {
	rfcs := func(text string) (numbers []string) {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "|") {
				entry, _, _ := strings.Cut(strings.ReplaceAll(line, "| [", "| "), "](")
				numbers = append(numbers, regexp.MustCompile(`\b\d{4}\b`).FindAllString(entry, -1)...)
			}
		}
		slices.Sort(numbers)
		return slices.Compact(numbers)
	}
	_, table, _ := strings.Cut(repositoryFile(t, "README.md"), "## What is implemented\n")
	table, _, _ = strings.Cut(table, "\n## ")
	if short, long := rfcs(table), rfcs(repositoryFile(t, "caddymodule/docs/standards.md")); len(long) < 20 || !slices.Equal(short, long) {
		t.Errorf("README.md has %v, docs/standards.md %v", short, long)
	}
}

// TestCommandsOfDocsExist parses each command line of the manual that begins with caddy oauth, as
// the program would: the command, its flags, and in a block its arguments. Each command is in it.
func TestCommandsOfDocsExist(t *testing.T) {
	shown := map[string]bool{}
	for name, text := range manualPages(t) {
		for _, line := range commandLines(text) {
			command, err := parseCommand(line)
			if err != nil {
				t.Errorf("%s: %s: %v", name, line, err)
			} else {
				shown[command] = true
			}
		}
	}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			visit(sub)
		}
		if !c.HasSubCommands() && !shown[c.CommandPath()] {
			t.Errorf("the manual does not show %s", c.CommandPath())
		}
	}
	visit(oauthCommand())
}

// oauthCommand returns a new tree of the commands below caddy oauth.
func oauthCommand() *cobra.Command {
	registered := caddycmd.Commands()["oauth"]
	oauth := &cobra.Command{Use: registered.Name}
	registered.CobraFunc(oauth)
	(&cobra.Command{Use: "caddy"}).AddCommand(oauth)
	return oauth
}

// commandLines returns what follows caddy in the blocks of a text, with a space before it, and in
// its inline code.
func commandLines(text string) (lines []string) {
	inBlocks := regexp.MustCompile("(?ms)^```\\w*\n(.*?)^```$|((?:^    [^\n]*\n)+)")
	for _, block := range inBlocks.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1]+block[2], "\\\n", "")) {
			for _, m := range regexp.MustCompile(`\bcaddy( oauth\b[^|;&<>)#]*)`).FindAllStringSubmatch(line, -1) {
				if !strings.Contains(line, "xargs") { // which adds the arguments
					lines = append(lines, m[1])
				} else {
					lines = append(lines, strings.TrimSpace(m[1]))
				}
			}
		}
	}
	for _, m := range regexp.MustCompile("`caddy\\s+(oauth\\b[^`|<]*)").FindAllStringSubmatch(inBlocks.ReplaceAllString(text, ""), -1) {
		lines = append(lines, strings.Join(strings.Fields(m[1]), " "))
	}
	return lines
}

// parseCommand returns the path of the command of a line. A line that begins with a space is whole,
// with the arguments that the command takes.
func parseCommand(line string) (path string, err error) {
	var words []string
	for _, m := range regexp.MustCompile(`"([^"]*)"|'([^']*)'|\S+`).FindAllString(line, -1) {
		words = append(words, strings.Trim(m, `"'`))
	}
	root := oauthCommand()
	command, rest, err := root.Find(words[1:])
	if err != nil {
		return "", err
	}
	if err := command.ParseFlags(rest); err != nil {
		return "", err
	}
	arguments := command.Flags().Args()
	switch {
	case command.HasSubCommands() && len(arguments) > 0:
		return "", fmt.Errorf("%s has no command %v", command.CommandPath(), arguments)
	case strings.HasPrefix(line, " "):
		err = command.ValidateArgs(arguments)
	}
	command.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.String() == "" {
			err = fmt.Errorf("--%s is empty", f.Name)
		}
	})
	return command.CommandPath(), err
}

// TestTroubleshootingDocsQuoteTheSource requires that each message in the first column of a table
// of docs/troubleshooting.md is in a string of the source.
func TestTroubleshootingDocsQuoteTheSource(t *testing.T) {
	var said []string
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				said = append(said, literal(e))
			}
			return true
		})
	}
	all, quoted := strings.Join(said, "\n"), 0
	for line := range strings.Lines(repositoryFile(t, "caddymodule/docs/troubleshooting.md")) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		symptom, _, _ := strings.Cut(line[2:], " | ")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(symptom, -1) {
			quoted++
			if !strings.Contains(all, m[1]) {
				t.Errorf("the source does not say %q", m[1])
			}
		}
	}
	if quoted < 70 {
		t.Errorf("%d messages", quoted)
	}
}

// TestTroubleshootingDocsHaveEveryRefusal requires that the page says what to do about each refusal
// of package verify.
func TestTroubleshootingDocsHaveEveryRefusal(t *testing.T) {
	page, refusals := repositoryFile(t, "caddymodule/docs/troubleshooting.md"), 0
	of := regexp.MustCompile(`(?:\b(?:invalid|badProof)\(|\bDescription:\s+)"([^"]+)"`)
	for _, s := range sources(t) {
		if s.isTest() || filepath.Dir(s.path) != "verify" {
			continue
		}
		for _, m := range of.FindAllStringSubmatch(repositoryFile(t, s.path), -1) {
			refusals++
			if !strings.Contains(page, "`"+m[1]+"`") {
				t.Errorf("%s: the page does not have %q", s.path, m[1])
			}
		}
	}
	if refusals < 50 {
		t.Errorf("%d refusals", refusals)
	}
}

// TestTroubleshootingDocsHaveEveryErrorCode requires that the page explains each code that a client
// can get.
func TestTroubleshootingDocsHaveEveryErrorCode(t *testing.T) {
	_, table, _ := strings.Cut(repositoryFile(t, "caddymodule/docs/troubleshooting.md"), "## What does each error code mean?")
	for _, s := range sources(t) {
		if s.path != "tokenep/error.go" && s.path != "verify/error.go" {
			continue
		}
		for _, code := range constants(s.file) {
			if !strings.Contains(table, "`"+code+"`") {
				t.Errorf("%s: the page does not explain %s", s.path, code)
			}
		}
	}
}

// TestEndpointsOfDocsExist compares the table of docs/issuer.md with the names and the default
// paths of the endpoints.
func TestEndpointsOfDocsExist(t *testing.T) {
	page, paths := repositoryFile(t, "caddymodule/docs/issuer.md"), 0
	for _, s := range sources(t) {
		if s.path == "tokenep/endpoint/all.go" {
			for _, name := range constants(s.file) {
				if !strings.Contains(page, "\n| `"+name+"` | `/") {
					t.Errorf("docs/issuer.md does not have the endpoint %s", name)
				}
			}
		}
		if !s.isTest() && s.under("tokenep/endpoint") {
			for _, m := range regexp.MustCompile(`"(/oauth/[^"]+)"`).FindAllStringSubmatch(repositoryFile(t, s.path), -1) {
				paths++
				if !strings.Contains(page, " | `"+m[1]) {
					t.Errorf("docs/issuer.md does not have the path %s", m[1])
				}
			}
		}
	}
	if paths < 10 {
		t.Errorf("%d paths", paths)
	}
}

// TestGrowthDocsCalculate repeats the table of rotations with the rates of the page on performance.
func TestGrowthDocsCalculate(t *testing.T) {
	page, rows := repositoryFile(t, "caddymodule/docs/growth.md"), 0
	rates := regexp.MustCompile(`(?m)^\| (bolt|Redis|PostgreSQL) \|.*\| ([\d,]+) to [\d,]+ \|$`)
	for _, m := range rates.FindAllStringSubmatch(repositoryFile(t, "caddymodule/docs/performance.md"), -1) {
		rows++
		rate, err := strconv.Atoi(strings.ReplaceAll(m[2], ",", ""))
		if err != nil {
			t.Fatal(err)
		}
		row := message.NewPrinter(language.English).Sprintf("| %s | %d | %d | %d |\n", m[1], rate, rate*3600, rate*300)
		if !strings.Contains(page, row) {
			t.Errorf("docs/growth.md has no row %s", row)
		}
	}
	if rows != 3 {
		t.Errorf("%d rates", rows)
	}
}

// TestGrowthDocsCalculateTenNodes repeats what ten nodes of two processors carry, from how long
// processors work in a request: for the nodes and for the database, on Redis and on PostgreSQL.
func TestGrowthDocsCalculateTenNodes(t *testing.T) {
	page := repositoryFile(t, "caddymodule/docs/growth.md")
	measured := regexp.MustCompile(`(?m)^(\| [^|]+ \|) (\d+) \| (\d+) \| (\d+) \| (\d+) \|$`).FindAllStringSubmatch(page, -1)
	carry := func(nodes, database string) string {
		node, err := strconv.ParseFloat(nodes, 64)
		if err != nil {
			t.Fatal(err)
		}
		db, err := strconv.ParseFloat(database, 64)
		if err != nil {
			t.Fatal(err)
		}
		rate := 20_000_000 / node
		rounded, _ := strconv.ParseFloat(strconv.FormatFloat(rate, 'g', 3, 64), 64)
		return message.NewPrinter(language.English).Sprintf("%d | %.1f |", int(rounded), rate*db/1_000_000)
	}
	for _, m := range measured {
		row := m[1] + " " + carry(m[2], m[4]) + " " + carry(m[3], m[5]) + "\n"
		if !strings.Contains(page, row) {
			t.Errorf("docs/growth.md has no row %s", row)
		}
	}
	if len(measured) < len(fleetOperations) {
		t.Errorf("%d kinds of requests, want %d", len(measured), len(fleetOperations))
	}
}

// literal returns the text of a string literal, or of several that are added.
func literal(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.BasicLit:
		if x.Kind == token.STRING {
			text, _ := strconv.Unquote(x.Value)
			return text
		}
	case *ast.BinaryExpr:
		return literal(x.X) + literal(x.Y)
	}
	return ""
}

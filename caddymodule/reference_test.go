package caddymodule_test

import (
	"fmt"
	"go/ast"
	"maps"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/reference.md is made of doc comments: the syntax of a block is in that of its parser, and
// what an option is for in that of its field. reference says which belong together.

// described is what the source says of the configuration.
type described struct {
	types    map[string]*ast.StructType // as oauthserver.Pages
	comments map[string]string          // of types and functions, as oauthserver.Pages.parse
}

// readDescribed reads the modules, and what the libraries have of their configuration.
func readDescribed(t *testing.T) *described {
	t.Helper()
	d := &described{types: map[string]*ast.StructType{}, comments: map[string]string{}}
	for _, s := range sources(t) {
		if s.isTest() || !s.under("caddymodule") && path.Dir(s.path) != "tokenep" || strings.Contains(s.path, "/oauthadmin/") {
			continue
		}
		for _, declaration := range s.file.Decls {
			name := s.file.Name.Name + "."
			switch x := declaration.(type) {
			case *ast.GenDecl:
				for _, spec := range x.Specs {
					if named, ok := spec.(*ast.TypeSpec); ok {
						if structure, ok := named.Type.(*ast.StructType); ok {
							d.types[name+named.Name.Name] = structure
						}
						d.comments[name+named.Name.Name] = x.Doc.Text()
					}
				}
			case *ast.FuncDecl:
				if x.Recv != nil {
					name += typeName(x.Recv.List[0].Type) + "."
				}
				d.comments[name+x.Name.Name] = x.Doc.Text()
			}
		}
	}
	return d
}

// typeName returns the name of a type, without the package of an embedded one.
func typeName(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.StarExpr:
		return typeName(x.X)
	case *ast.SelectorExpr:
		return typeName(x.X) + "." + x.Sel.Name
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// option is an option in a Caddyfile: its name and what stands behind it.
type option struct{ name, arguments string }

// syntax returns the block of a comment that has the syntax, its options, and the text behind it.
func syntax(comment string) (block string, options []option, text string) {
	_, rest, found := strings.Cut(comment, "yntax:\n")
	if !found {
		return "", nil, ""
	}
	var lines []string
	for line := range strings.Lines(strings.TrimPrefix(rest, "\n")) {
		if !strings.HasPrefix(line, "\t") && strings.TrimSpace(line) != "" {
			break
		}
		lines = append(lines, strings.TrimPrefix(line, "\t"))
		rest = rest[strings.Index(rest, line)+len(line):]
	}
	block = strings.TrimSpace(strings.Join(lines, ""))
	joined := regexp.MustCompile(`\|\n\s+`).ReplaceAllString(block, "| ")
	for line := range strings.Lines(joined) {
		line = strings.TrimSuffix(strings.TrimSpace(line), " {")
		for {
			m := regexp.MustCompile(`^([a-z_]+)(,?)(?:\s+(.*))?$`).FindStringSubmatch(line)
			if m == nil {
				break
			}
			if m[2] == "" {
				options = append(options, option{m[1], m[3]})
				break
			}
			line = m[3]
			options = append(options, option{m[1], line[strings.LastIndex(line, " ")+1:]})
		}
	}
	return block, options, strings.TrimSpace(rest)
}

// field is a field of a configuration.
type field struct {
	json, option, text string
	kind               string // its type
	embedded           string // the type whose fields it has as well
}

// fields returns those of a type. A field without a comment has that of the one before.
func (d *described) fields(name string) (fields []field) {
	text := ""
	for _, f := range d.types[name].Fields.List {
		if len(f.Names) == 0 {
			embedded := typeName(f.Type)
			if !strings.Contains(embedded, ".") {
				embedded = strings.Split(name, ".")[0] + "." + embedded
			}
			fields = append(fields, field{embedded: embedded})
			continue
		}
		if f.Tag == nil {
			continue
		}
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
		json, _, _ := strings.Cut(tag.Get("json"), ",")
		if f.Doc != nil {
			text = strings.Join(strings.Fields(f.Doc.Text()), " ")
		}
		if json == "" || json == "-" || strings.Contains(text, "It is set by the server") {
			continue
		}
		fields = append(fields, field{json: json, option: tag.Get("option"), text: text, kind: typeName(f.Type)})
	}
	return fields
}

var counted = regexp.MustCompile(`^How many (?:live )?[a-z-]+s\b|^The .*, in bytes\.|^The status of `)

// unit returns what stands behind the name of a field that is a time or a number, and whether its
// comment says what that is the number of.
func (f field) unit() (unit string, ok bool) {
	switch f.kind {
	case "caddy.Duration", "tokenep.Duration", "Duration":
		return ", a duration", true
	case "int", "int64", "uint64", "float64":
		return ", a number", counted.MatchString(f.text)
	}
	return "", true
}

// preset takes the sentences out of a text that say what holds without the option.
func preset(text string) (standard, rest string) {
	var of, others []string
	for _, sentence := range regexp.MustCompile(`\.( |$)`).Split(regexp.MustCompile(`\. ([a-z0-9(])`).ReplaceAllString(text, ".\x00$1"), -1) {
		sentence = strings.ReplaceAll(sentence, ".\x00", ". ")
		switch {
		case strings.HasPrefix(sentence, "Default: "):
			of = append(of, strings.TrimPrefix(sentence, "Default: "))
		case strings.HasPrefix(sentence, "Required"):
			of = append(of, "r"+sentence[1:])
		case sentence != "":
			others = append(others, sentence+".")
		}
	}
	return strings.Join(of, "; "), strings.Join(others, " ")
}

// cell escapes a text for a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "*", `\*`).Replace(text)
}

// write writes a part.
func (d *described) write(t *testing.T, w *strings.Builder, p part, printed map[string]bool) {
	fmt.Fprintf(w, "\n## %s\n", p.title)
	block, options, note := syntax(d.comments[p.syntax])
	if p.syntax != "" && block == "" {
		t.Errorf("%s has no syntax", p.syntax)
	}
	if p.place != "" {
		fmt.Fprintf(w, "\nIn JSON: %s\n", p.place)
	}
	if block != "" && !printed[p.syntax] {
		fmt.Fprintf(w, "\n```text\n%s\n```\n", block)
		if note != "" {
			fmt.Fprintf(w, "\n%s\n", note)
		}
	}
	printed[p.syntax], printed[p.fields] = true, true
	if p.fields == "" {
		return
	}
	if d.types[p.fields] == nil {
		t.Errorf("there is no type %s", p.fields)
		return
	}
	table := false
	for _, f := range d.fields(p.fields) {
		if f.embedded != "" {
			i := slices.IndexFunc(reference, func(other part) bool { return other.fields == f.embedded })
			if i < 0 {
				t.Errorf("the table has no part for %s", f.embedded)
				continue
			}
			fmt.Fprintf(w, "\nIt has all options of [%s](#%s).\n", reference[i].title, anchors("# " + reference[i].title)[0])
			table = false
			continue
		}
		if !table {
			w.WriteString("\n| option | in JSON | default | what it is for |\n|---|---|---|---|\n")
			table = true
		}
		standard, text := preset(f.text)
		if standard == "" {
			t.Errorf("%s: the comment of %s says neither Default nor Required", p.fields, f.json)
		}
		unit, ok := f.unit()
		if !ok {
			t.Errorf("%s: the comment of %s does not say of what it is the number: how many of what, a size in bytes, or a status", p.fields, f.json)
		}
		fmt.Fprintf(w, "| %s | `%s`%s | %s | %s |\n", p.spelling(f, options), f.json, unit, cell(standard), cell(text))
	}
}

// spelling returns a field as it is written in a Caddyfile: its option with the arguments, or the
// words at the beginning of the line, as in authorization token.
func (p part) spelling(f field, options []option) string {
	for _, o := range options {
		called := f.option
		if called == "" && (o.name+"s" == f.json || strings.TrimSuffix(o.name, "y")+"ies" == f.json || slices.Contains(strings.Fields(p.spelled), o.name+"="+f.json)) {
			called = o.name
		} else if called == "" {
			called = f.json
		}
		line := strings.ReplaceAll(strings.TrimSpace(o.name+" "+o.arguments), "`", "")
		if o.name == called || strings.HasPrefix(line+" ", p.title+" "+f.json+" ") {
			return "`" + strings.ReplaceAll(line, "|", `\|`) + "`"
		}
	}
	return ""
}

// TestReferenceOfOptionsIsCurrent makes the reference anew and compares. With UPDATE_REFERENCE=1 it
// writes it.
func TestReferenceOfOptionsIsCurrent(t *testing.T) {
	d, printed := readDescribed(t), map[string]bool{}
	text := new(strings.Builder)
	text.WriteString(referenceHead)
	for _, p := range reference {
		d.write(t, text, p, printed)
	}
	const name = "docs/reference.md"
	if os.Getenv("UPDATE_REFERENCE") != "" {
		if err := os.WriteFile(name, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text.String() != repositoryFile(t, "caddymodule/"+name) {
		t.Error("docs/reference.md is not what the comments say: UPDATE_REFERENCE=1 go test ./caddymodule -run Reference")
	}
	for name, comment := range d.comments {
		if block, _, _ := syntax(comment); block != "" && !printed[name] {
			t.Errorf("the reference does not have the syntax of %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.types)) {
		if pkg, _, _ := strings.Cut(name, "."); pkg != "tokenep" && ast.IsExported(name[len(pkg)+1:]) && !printed[name] &&
			slices.ContainsFunc(d.fields(name), func(f field) bool { return f.json != "" }) {
			t.Errorf("the reference does not have the fields of %s", name)
		}
	}
}

// TestSyntaxNamesAllOptions requires that each word that a parser reads is in the syntax of its
// comment. A parser without one reads the options of its type, or its comment says whose they are.
func TestSyntaxNamesAllOptions(t *testing.T) {
	d, whole := readDescribed(t), map[string]string{} // the syntax of a type
	for _, p := range reference {
		if whole[p.fields] == "" {
			whole[p.fields] = p.syntax
		}
	}
	see := regexp.MustCompile(`see (\w+) for the syntax`)
	for _, s := range sources(t) {
		if s.isTest() || !s.under("caddymodule") || !strings.HasSuffix(s.path, "caddyfile.go") {
			continue
		}
		for _, declaration := range s.file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok || f.Recv == nil {
				continue
			}
			of := s.file.Name.Name + "." + typeName(f.Recv.List[0].Type)
			name := of + "." + f.Name.Name
			if m := see.FindStringSubmatch(d.comments[name]); m != nil {
				name = of + "." + m[1]
				if d.comments[name] == "" {
					name = s.file.Name.Name + "." + m[1]
				}
			} else if block, _, _ := syntax(d.comments[name]); block == "" {
				name = whole[of]
			}
			block, _, _ := syntax(d.comments[name])
			for _, word := range optionsRead(f) {
				if !regexp.MustCompile(`\b` + word + `\b`).MatchString(block) {
					t.Errorf("%s reads %s, which is not in the syntax of %s", f.Name.Name, word, name)
				}
			}
		}
	}
	client, _, _ := syntax(d.comments["oauthserver.AuthorizationServer.parseClient"])
	for _, f := range d.fields("tokenep.Client") {
		if f.option != "" && !regexp.MustCompile(`\b`+f.option+`\b`).MatchString(client) {
			t.Errorf("the syntax of a client does not have %s", f.option)
		}
	}
}

// optionsRead returns the words of the cases of a parser.
func optionsRead(f *ast.FuncDecl) (words []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		if clause, ok := n.(*ast.CaseClause); ok {
			for _, value := range clause.List {
				if word, ok := value.(*ast.BasicLit); ok {
					words = append(words, strings.Trim(word.Value, "\"`"))
				}
			}
		}
		return true
	})
	return words
}

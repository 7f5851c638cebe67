package page_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tokenep/caddy-tokenep/tokenep/page"
)

func folder(pairs ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		files[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return files
}

// A site has templates, texts, languages and a style of its own, and the usual ones for the rest.
func TestFolder(t *testing.T) {
	s := newPages(t, page.Options{Folder: folder(
		"templates/signed_out.html", `{{template "head" "Bye"}}<p class="own">{{t "signed_out.text"}}</p>{{template "foot"}}`,
		"texts/en.json", `{"sign_in.title": "Come in"}`,
		"texts/fr.json", `{"sign_in.title": "Connexion", "sign_in.button": "Se connecter"}`,
		"style.css", "body { color: teal }",
		"notes.txt", "{{nothing}}",
		"templates/error.html", `{{define "own"}}{{t "error.title"}}{{end}}{{template "head" "Oh"}}{{template "own"}}{{template "foot"}}`,
	)})
	for _, row := range []struct {
		lang string
		data any
		want []string
		not  string
	}{
		{"en", page.SignedOut{}, []string{`<p class="own">You can close this window.`, "<title>Bye</title>", "body { color: teal }"}, "max-width"},
		{"de", page.SignedOut{}, []string{`<p class="own">Sie können`}, ""},
		{"en", page.SignIn{}, []string{"<h1>Come in</h1>", "User name"}, "<h1>Sign in"},
		{"de", page.SignIn{}, []string{"<h1>Anmelden</h1>"}, "Come in"},
		{"fr-CA, en", page.SignIn{}, []string{`<html lang="fr">`, "<h1>Connexion</h1>", "Se connecter", "User name"}, "Come in"},
	} {
		w := show(s, row.lang, row.data)
		for _, want := range row.want {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: %q is missing in %s", row.lang, want, w.Body)
			}
		}
		if row.not != "" && strings.Contains(w.Body.String(), row.not) {
			t.Errorf("%s: %q is in %s", row.lang, row.not, w.Body)
		}
		style := inner(named(parse(t, w), "style")[0])
		if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "style-src '"+hash(style)+"'") {
			t.Errorf("%s does not let in %s", policy, style)
		}
	}
}

// What is wrong in a folder is found at once, with its file and, in a template, its line.
func TestFolderIsRefused(t *testing.T) {
	for name, row := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"a template that is none":       {folder("templates/error.html", "a\nb {{if}}\n"), "error.html:2"},
		"a field that no page has":      {folder("templates/sign_in.html", "\n\n{{.Pasword}}"), "sign_in.html:3"},
		"a field of one case alone":     {folder("templates/error.html", "{{if .Retry}}\n{{.Nothing}}{{end}}"), "error.html:2"},
		"a text that is none":           {folder("templates/error.html", "\n{{t \"error.titel\"}}"), `error.html:2:2: executing "error.html" at <t "error.titel">: error calling t: there is no text "error.titel"`},
		"a template that is none there": {folder("templates/error.html", `{{template "header"}}`), "header"},
		"a text for no page":            {folder("texts/de.json", `{"sign_in.titel": "Anmelden"}`), `texts/de.json:1: there is no text "sign_in.titel"`},
		"a text for no page below":      {folder("texts/de.json", "{\n\"sign_in.title\": \"a\",\n  \"sign_in.titel\": \"Anmelden\"}"), `texts/de.json:3: there is no text "sign_in.titel"`},
		"a text that is given twice":    {folder("texts/de.json", "{\"sign_in.title\": \"a\",\n\"sign_in.title\": \"b\"}"), `texts/de.json:2: "sign_in.title" is given twice`},
		"texts without a comma":         {folder("texts/fr.json", "{\n\"sign_in.title\": \"a\"\n\"sign_in.button\": \"b\"}"), "texts/fr.json:3: it must be an object of texts: invalid character"},
		"texts that end":                {folder("texts/fr.json", "{\n\"sign_in.title\": \"a\"\n"), "texts/fr.json:2: it must be an object of texts: unexpected EOF"},
		"texts that go on":              {folder("texts/fr.json", "{}\n{}"), "texts/fr.json:1: it must be an object of texts: there is something after it"},
		"a list":                        {folder("texts/fr.json", "[]"), "texts/fr.json:1: it must be an object of texts"},
		"a file that is no page":        {folder("templates/sing_in.html", "a"), "templates/sing_in.html: there is no template of this name; there are account.html, consent.html, device.html"},
		"a part that nothing shows":     {folder("templates/frame.html", "{{define \"head\"}}a{{end}}\n{{define \"food\"}}b{{end}}"), `templates/frame.html:2: nothing shows a template "food"; there are account.html, audience, `},
		"texts of no form":              {folder("texts/fr.json", `{"sign_in.title": ["a"]}`), "texts/fr.json:1: it must be an object of texts"},
		"texts of no language":          {folder("texts/english!.json", `{}`), "texts/english!.json: the name of the file must be that of a language"},
		"a style that ends":             {folder("style.css", "a { } </STYLE><script>"), "style.css: it must be CSS alone"},
		"a style that is a folder":      {folder("style.css/x", ""), "style.css"},
	} {
		if _, err := page.New(page.Options{Folder: row.files}); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v; want %s", name, err, row.want)
		}
	}
}

// Names, logos and colours.
func TestBrand(t *testing.T) {
	for _, row := range []struct {
		brand page.Brand
		want  string // of the error; empty: it is good
	}{
		{page.Brand{}, ""},
		{page.Brand{Name: "Example <Ltd.> & Söhne", Logo: "/logo.svg", Accent: "#14532d", AccentDark: "#86EFAC"}, ""},
		{page.Brand{Logo: "https://static.example/logo.svg?v=2"}, ""},
		{page.Brand{Logo: "data:image/svg+xml;base64,AAAA"}, ""},
		{page.Brand{Name: "two\nlines"}, "name: it must be one line"},
		{page.Brand{Name: strings.Repeat("x", 101)}, "name: it must be one line of at most 100 bytes"},
		{page.Brand{Accent: "14532d"}, `accent: "14532d" must be a colour such as #`},
		{page.Brand{Accent: "#fff"}, "accent"},
		{page.Brand{Accent: "#1234567"}, "accent"},
		{page.Brand{Accent: "#+12345"}, "accent"},
		{page.Brand{Accent: "teal}body{x"}, "accent"},
		{page.Brand{AccentDark: "#ggg000"}, "accent_dark"},
		{page.Brand{Logo: "logo.svg"}, `logo: "logo.svg" must be an https URL, a path that begins with /, or data:image/…`},
		{page.Brand{Logo: "http://static.example/logo.svg"}, "logo"},
		{page.Brand{Logo: "//static.example/logo.svg"}, "logo"},
		{page.Brand{Logo: "https://ann@static.example/logo.svg"}, "logo"},
		{page.Brand{Logo: "https:///logo.svg"}, "logo"},
		{page.Brand{Logo: "https://static.example;script-src/x"}, "logo"},
		{page.Brand{Logo: "https://*/x"}, "logo"},
		{page.Brand{Logo: "data:text/html,x"}, "logo"},
		{page.Brand{Logo: "javascript:alert(1)"}, "logo"},
		{page.Brand{Logo: "https://a b/"}, "logo"},
	} {
		_, err := page.New(page.Options{Brand: row.brand})
		switch {
		case err == nil && row.want == "":
		case err == nil, row.want == "", !strings.Contains(err.Error(), row.want):
			t.Errorf("%+v: %v; want %q", row.brand, err, row.want)
		}
	}
}

// The text on a colour is black or white, whichever is easier to read; the name is text.
func TestBrandIsShown(t *testing.T) {
	for colour, on := range map[string]string{"#0b57d0": "#ffffff", "#a8c7fa": "#000000", "#000000": "#ffffff", "#ffff00": "#000000"} {
		s := newPages(t, page.Options{Brand: page.Brand{Name: "A & B", Logo: "/logo.svg", Accent: colour}})
		body := show(s, "en", page.SignedOut{}).Body.String()
		for _, want := range []string{
			"--accent:" + colour + ";--on-accent:" + on, `<img src="/logo.svg" alt="A &amp; B"`, "<title>You are signed out · A &amp; B</title>",
		} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: %q is missing in %s", colour, want, body)
			}
		}
	}
}

package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// Options are the settings of the pages of a site. The zero value has the usual ones.
type Options struct {
	Brand Brand

	// Folder has templates (templates/<page>.html), texts (texts/<language>.json) and a style
	// (style.css) in the place of those of this package; nil: none. It is read once.
	Folder fs.FS

	// Shown is told of each page that a browser gets, by the name of its template, such as
	// "sign_in"; may be nil.
	Shown func(page string)
}

// Set is the pages of a site. Make one with New. It is safe for concurrent use.
type Set struct {
	templates map[string]*template.Template // by language
	languages []string
	matcher   language.Matcher
	brand     Brand
	policy    string
	shown     func(page string)
}

var (
	//go:embed templates/*.html
	templates embed.FS
	//go:embed style.css
	usualStyle string
	//go:embed script.js
	script string
)

// New reads the pages. Each is tried with an example, so that a template that cannot be shown is
// found now: the error names its file and line.
func New(o Options) (*Set, error) {
	if err := o.Brand.Validate(); err != nil {
		return nil, err
	}
	style, err := readStyle(o.Folder)
	if err != nil {
		return nil, err
	}
	style = string(o.Brand.style()) + style
	all, err := readTexts(o.Folder)
	if err != nil {
		return nil, err
	}
	s := &Set{templates: make(map[string]*template.Template), brand: o.Brand, shown: o.Shown}
	s.matcher, s.languages = matcher(all)
	for name, text := range all {
		if s.templates[name], err = parse(o, name, style, text); err != nil {
			return nil, err
		}
	}
	// One style and one script, and nothing from elsewhere. form-action is left out: browsers hold
	// the redirect after a POST to it as well, and that goes to the client.
	s.policy = "default-src 'none'; style-src '" + sourceOf(style) + "'; script-src '" + sourceOf(script) +
		"'; base-uri 'none'; frame-ancestors 'none'"
	return s, s.try()
}

// readStyle returns the style of the folder, or the usual one.
func readStyle(folder fs.FS) (string, error) {
	if folder == nil {
		return usualStyle, nil
	}
	own, err := fs.ReadFile(folder, "style.css")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return usualStyle, nil
	case err != nil:
		return "", err
	case strings.Contains(strings.ToLower(string(own)), "</style"):
		return "", errors.New("style.css: it must be CSS alone, without a </style> that ends it")
	}
	return string(own), nil
}

// parse reads the templates for one language.
func parse(o Options, lang, style string, text map[string]string) (*template.Template, error) {
	t := template.New("").Funcs(template.FuncMap{
		"t":      func(key string) (string, error) { return find(text, key) },
		"lang":   func() string { return lang },
		"brand":  func() Brand { return o.Brand },
		"style":  func() template.CSS { return template.CSS(style) },
		"script": func() template.JS { return template.JS(script) },
		"uri":    func(uri string) template.URL { return template.URL(uri) }, // of the brand
		"day":    func(at time.Time) string { return at.UTC().Format("2006-01-02") },
		"time":   func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 UTC") },
		// A URL would be normalized: a redirect URI keeps every byte.
		"action": func(uri string) template.HTMLAttr {
			return template.HTMLAttr(`action="` + template.HTMLEscapeString(uri) + `"`)
		},
	})
	t, err := t.ParseFS(templates, "templates/*.html")
	if err != nil || o.Folder == nil {
		return t, err
	}
	own, err := fs.Glob(o.Folder, "templates/*.html")
	if err != nil || len(own) == 0 {
		return t, err
	}
	if err := checkNames(o.Folder, own, t); err != nil {
		return nil, err
	}
	return t.ParseFS(o.Folder, "templates/*.html")
}

func find(text map[string]string, key string) (string, error) {
	if found, ok := text[key]; ok {
		return found, nil
	}
	return "", fmt.Errorf("there is no text %q", key)
}

// sourceOf returns the hash-source of CSP 3 §2.3.1.
func sourceOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// fileOf returns the template of a page.
func fileOf(data any) string {
	switch data.(type) {
	case SignIn:
		return "sign_in.html"
	case Consent:
		return "consent.html"
	case FormPost:
		return "form_post.html"
	case Device:
		return "device.html"
	case SignOut:
		return "sign_out.html"
	case SignedOut:
		return "signed_out.html"
	case Account:
		return "account.html"
	case NewToken:
		return "new_token.html"
	default:
		return "error.html"
	}
}

// try shows each page once, to nobody.
func (s *Set) try() error {
	for _, t := range s.templates {
		for _, data := range examples {
			if err := t.ExecuteTemplate(io.Discard, fileOf(data), data); err != nil {
				return err
			}
		}
	}
	return nil
}

// Headers sets what every answer to a browser has.
func Headers(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

// Show answers r with a page: one of SignIn, Consent, FormPost, Error, SignOut, SignedOut, Account
// and NewToken. Beside the logo of the site it may load these images: https URLs, or empty.
func (s *Set) Show(w http.ResponseWriter, r *http.Request, status int, data any, images ...string) {
	lang := s.language(r)
	var text bytes.Buffer
	if err := s.templates[lang].ExecuteTemplate(&text, fileOf(data), data); err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	Headers(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", lang)
	h.Add("Vary", "Accept-Language")
	h.Set("Content-Security-Policy", s.policy+s.imageSources(images))
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", openerPolicy(data))
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // nobody is left to be told that it failed
	if s.shown != nil {
		s.shown(strings.TrimSuffix(fileOf(data), ".html"))
	}
}

// openerPolicy returns what an opener in another origin is to a page (HTML §7.1.3). An application
// may ask its users in a window that it has opened, to which its own page there says afterwards how
// it went: it could not, if any page between had cut off the opener, and same-origin-allow-popups
// would as well. No application opens the pages of people's access and of devices.
func openerPolicy(data any) string {
	switch data.(type) {
	case Account, NewToken, Device:
		return "same-origin"
	}
	return "unsafe-none"
}

// imageSources returns the img-src of the policy, or nothing.
func (s *Set) imageSources(images []string) string {
	var sources []string
	if own := s.brand.source(); own != "" {
		sources = append(sources, own)
	}
	for _, image := range images {
		if u, err := url.Parse(image); err == nil && u.Scheme == "https" && isPlainHost(u.Host) {
			sources = append(sources, "https://"+u.Host)
		}
	}
	if len(sources) == 0 {
		return ""
	}
	return "; img-src " + strings.Join(sources, " ")
}

package tokeneptest

import (
	"bytes"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Browser is the part of a web browser that pages without scripts need: cookies, redirects and
// forms. Make one with Server.Browser.
type Browser struct {
	Server  *Server
	Header  http.Header // of every request
	Cookies map[string]string

	at   string // the path of the page that is shown
	page *html.Node
}

// Browser returns a browser without cookies.
func (s *Server) Browser() *Browser {
	return &Browser{Server: s, Header: http.Header{}, Cookies: make(map[string]string)}
}

// Open asks for a path of the server, and follows redirects to others of it.
func (b *Browser) Open(t testing.TB, path string) Answer {
	t.Helper()
	return b.send(t, Get(path))
}

// send follows redirects as far as the server has what they lead to.
func (b *Browser) send(t testing.TB, r Request) Answer {
	t.Helper()
	for range 10 {
		r.Header = r.Header.Clone()
		maps.Copy(r.Header, b.Header)
		if cookie := b.cookie(); cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		a := b.Server.Send(t, r)
		for _, c := range (&http.Response{Header: a.Header}).Cookies() {
			if b.Cookies[c.Name] = c.Value; c.MaxAge < 0 {
				delete(b.Cookies, c.Name)
			}
		}
		b.show(t, r, a)
		to, ok := strings.CutPrefix(a.Header.Get("Location"), Issuer)
		if !ok && !strings.HasPrefix(to, "/") || a.Status != http.StatusSeeOther {
			return a
		}
		r = Get(to)
	}
	t.Fatalf("redirected again and again, at last to %s", r.Path)
	return Answer{}
}

func (b *Browser) cookie() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(b.Cookies)) {
		all = append(all, name+"="+b.Cookies[name])
	}
	return strings.Join(all, "; ")
}

func (b *Browser) show(t testing.TB, r Request, a Answer) {
	t.Helper()
	b.at, b.page = r.Path, nil
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		return
	}
	var err error
	if b.page, err = html.Parse(bytes.NewReader(a.Body)); err != nil {
		t.Fatal(err)
	}
}

// Submit sends the form of the page in which there is a button with this value, and is not of a
// script; an empty value is a button without one. The pairs are what is written into its fields,
// or chosen.
func (b *Browser) Submit(t testing.TB, button string, pairs ...string) Answer {
	t.Helper()
	form, values := b.form(t, button)
	if form == nil {
		t.Fatalf("the page at %s has no button %q", b.at, button)
	}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	to, err := url.Parse(b.at)
	if err == nil {
		to, err = to.Parse(attribute(form, "action"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.send(t, PostForm(values.Encode()).At(to.RequestURI()))
}

// form returns the form of a button, with what it sends.
func (b *Browser) form(t testing.TB, button string) (found *html.Node, values url.Values) {
	t.Helper()
	if b.page == nil {
		t.Fatalf("there is no page at %s", b.at)
	}
	for form := range b.page.Descendants() {
		if form.Data != "form" {
			continue
		}
		values := make(url.Values)
		pressed := false
		for n := range form.Descendants() {
			name, value := attribute(n, "name"), attribute(n, "value")
			switch {
			case n.Data == "button" && value == button && attribute(n, "type") != "button" && !pressed:
				pressed = true
				if name != "" {
					values.Set(name, value)
				}
			case n.Data == "input" && has(n, "type", "radio", "checkbox") && !has(n, "checked"):
			case n.Data == "input" && name != "":
				values.Set(name, value)
			case n.Data == "select":
				values.Set(name, firstOption(n))
			}
		}
		if pressed {
			return form, values
		}
	}
	return nil, nil
}

func firstOption(list *html.Node) string {
	for n := range list.Descendants() {
		if n.Data == "option" {
			return attribute(n, "value")
		}
	}
	return ""
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// has reports whether there is an attribute, with one of these values if there are any.
func has(n *html.Node, name string, values ...string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool {
		return a.Key == name && (len(values) == 0 || slices.Contains(values, a.Val))
	})
}

// Text returns the text of the page, with single spaces.
func (b *Browser) Text() string {
	var all []string
	if b.page == nil {
		return ""
	}
	for n := range b.page.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "script" {
			all = append(all, strings.Fields(n.Data)...)
		}
	}
	return strings.Join(all, " ")
}

// At returns the path and query of the page that is shown.
func (b *Browser) At() string { return b.at }

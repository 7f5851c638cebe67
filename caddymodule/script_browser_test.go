package caddymodule_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptBrowser is what makes requests of a script those of one browser: its cookies. It sends them
// to every server, as if all of them were behind one name.
type scriptBrowser struct{ cookies map[string]string }

// browserOf returns the browser of a name, which is new when its name is first used.
func browserOf(ts *testscript.TestScript, name string) *scriptBrowser {
	all := scriptBackground(ts).browsers
	if all[name] == nil {
		all[name] = &scriptBrowser{make(map[string]string)}
	}
	return all[name]
}

// send makes a request, and follows redirects to other paths of the same server. Without a browser
// it does not.
func (b *scriptBrowser) send(r *http.Request) (*http.Response, error) {
	if b == nil {
		return sendAgain(r)
	}
	for {
		for _, name := range slices.Sorted(maps.Keys(b.cookies)) {
			r.AddCookie(&http.Cookie{Name: name, Value: b.cookies[name]})
		}
		response, err := sendAgain(r)
		if err != nil {
			return nil, err
		}
		for _, c := range response.Cookies() {
			if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
				delete(b.cookies, c.Name)
			}
		}
		to := response.Header.Get("Location")
		if response.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/") {
			return response, nil
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		next, err := r.URL.Parse(to)
		if err != nil {
			return nil, err
		}
		language := r.Header.Get("Accept-Language")
		if r, err = http.NewRequestWithContext(context.Background(), http.MethodGet, next.String(), nil); err != nil {
			return nil, err
		}
		r.Header.Set("Accept-Language", language)
	}
}

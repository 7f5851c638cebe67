package verify_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

const openIDPath, oauthPath = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"

// metadataServer is a keyServer with paths: each is served by its own handler, the others are 404.
type metadataServer struct {
	*keyServer
	mu    sync.Mutex
	paths map[string]http.HandlerFunc
	asked map[string]int
}

// newMetadataServer serves the metadata of its URL at the first of the well-known paths, with keys
// of kids at /jwks. URLKeys is what finds them.
func newMetadataServer(t *testing.T, kids ...string) *metadataServer {
	t.Helper()
	s := &metadataServer{keyServer: newKeyServer(t, ""), paths: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	s.do(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked[r.URL.Path]++
		answer := s.paths[r.URL.Path]
		s.mu.Unlock()
		if answer == nil {
			answer = http.NotFound
		}
		answer(w, r)
	})
	s.text(openIDPath, metadataOf(s.URL, s.URL+"/jwks"))
	s.text("/jwks", keySetOf(kids...))
	s.URLKeys = s.discover(t, s.URL, "")
	return s
}

func metadataOf(issuer, uri string) string {
	return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q,"claims_supported":["sub"]}`, issuer, uri)
}

func (s *metadataServer) discover(t *testing.T, issuer, document string, addresses ...netip.Prefix) *verify.URLKeys {
	t.Helper()
	keys, err := verify.NewDiscoveredKeys(issuer, document, s.options(addresses...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.Settle)
	return keys
}

func (s *metadataServer) options(addresses ...netip.Prefix) verify.URLKeysOptions {
	return verify.URLKeysOptions{
		Addresses: addresses, RootCAs: s.roots, Now: s.clock.Now, Logger: slog.New(slog.NewTextHandler(&s.log, nil)),
	}
}

func (s *metadataServer) at(path string, answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths[path] = answer
}

func (s *metadataServer) text(path, text string) {
	s.at(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
}

// count compares how often a path was asked for, so far.
func (s *metadataServer) count(t *testing.T, path string, want int) {
	t.Helper()
	s.Settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked[path] != want {
		t.Errorf("%s was fetched %d times, want %d", path, s.asked[path], want)
	}
}

// key asks for a key; why is a part of the error, which is ErrUnavailable. Empty: there is none.
func (s *metadataServer) key(t *testing.T, keys *verify.URLKeys, kid, why string) {
	t.Helper()
	_, err := keys.Key(t.Context(), kid, "ES256")
	keys.Settle()
	if why == "" && err != nil || why != "" && (!errors.Is(err, verify.ErrUnavailable) || !strings.Contains(err.Error(), why)) {
		t.Errorf("kid %s: %v, want %q", kid, err, why)
	}
}

// OpenID Connect Discovery 1.0 §4.1 and RFC 8414 §3.1: where the document is. Only one that is not
// there is looked for elsewhere.
func TestDiscoveryPaths(t *testing.T) {
	for _, row := range []struct {
		name, path string // of the issuer
		documents  []string
		why        string
	}{
		{"OpenID", "", []string{openIDPath}, ""},
		{"OpenID, a slash at the end", "/", []string{openIDPath}, ""},
		{"OpenID, a path", "/tenant/a", []string{"/tenant/a" + openIDPath}, ""},
		{"OpenID, a path and a slash", "/tenant/", []string{"/tenant" + openIDPath}, ""},
		{"RFC 8414", "", []string{oauthPath}, ""},
		{"RFC 8414, a slash at the end", "/", []string{oauthPath}, ""},
		{"RFC 8414, a path", "/tenant/a", []string{oauthPath + "/tenant/a"}, ""},
		{"RFC 8414, a path and a slash", "/tenant/", []string{oauthPath + "/tenant"}, ""},
		{"RFC 8414, its path at the end", "/tenant", []string{"/tenant" + oauthPath}, "no metadata"},
		{"OpenID, its path inserted", "/tenant", []string{openIDPath + "/tenant"}, "no metadata"},
		{"none", "", nil, "no metadata"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newMetadataServer(t, "a")
			s.at(openIDPath, nil)
			for _, path := range row.documents {
				s.text(path, metadataOf(s.URL+row.path, s.URL+"/jwks"))
			}
			s.key(t, s.discover(t, s.URL+row.path, ""), "a", row.why)
		})
	}
	t.Run("one that is broken", func(t *testing.T) {
		s := newMetadataServer(t, "a")
		s.at(openIDPath, s.fail)
		s.text(oauthPath, metadataOf(s.URL, s.URL+"/jwks"))
		s.key(t, s.URLKeys, "a", "status 502")
	})
	t.Run("a URL of its own", func(t *testing.T) {
		s := newMetadataServer(t, "a")
		s.text("/odd", metadataOf("https://idp.example/any issuer?x", s.URL+"/jwks"))
		s.key(t, s.discover(t, "https://idp.example/any issuer?x", s.URL+"/odd"), "a", "")
		s.key(t, s.discover(t, "https://idp.example", s.URL+"/gone"), "a", "status 404")
	})
}

// Documents that say nothing which may be believed. The first keys are never fetched.
func TestDiscoveryBadDocuments(t *testing.T) {
	for _, row := range []struct {
		name     string
		document func(url string) string
		why      string
	}{
		{"RFC 8414 §3.3 another issuer", func(url string) string { return metadataOf("https://other.example", url+"/jwks") }, "another issuer"},
		{"RFC 8414 §3.3 a slash more", func(url string) string { return metadataOf(url+"/", url+"/jwks") }, "another issuer"},
		{"RFC 8414 §3.3 other letters", func(url string) string { return metadataOf(strings.Replace(url, "https", "HTTPS", 1), url+"/jwks") }, "another issuer"},
		{"no issuer", func(url string) string { return `{"jwks_uri":"` + url + `/jwks"}` }, "another issuer"},
		{"a list of issuers", func(url string) string { return `{"issuer":["` + url + `"],"jwks_uri":"` + url + `/jwks"}` }, "another issuer"},
		{"issuer twice", func(url string) string {
			return `{"issuer":"https://other.example","issuer":"` + url + `","jwks_uri":"` + url + `/jwks"}`
		}, "occurs twice"},
		{"no jwks_uri", func(url string) string { return `{"issuer":"` + url + `"}` }, "no jwks_uri"},
		{"a jwks_uri without end", func(url string) string { return metadataOf(url, url+"/"+strings.Repeat("x", 2048)) }, "no jwks_uri of at most"},
		{"a relative jwks_uri", func(url string) string { return metadataOf(url, "/jwks") }, "absolute"},
		{"an http jwks_uri", func(url string) string { return metadataOf(url, "http://idp.example/jwks") }, "https"},
		{"a jwks_uri with a password", func(url string) string { return metadataOf(url, "https://me:pw@idp.example/jwks") }, "user name"},
		{"a file", func(url string) string { return metadataOf(url, "file:///etc/passwd") }, "absolute"},
		{"a private address", func(url string) string { return metadataOf(url, "https://10.255.255.1/jwks") }, "special-use"},
		{"where clouds tell secrets", func(url string) string { return metadataOf(url, "https://169.254.169.254/jwks") }, "special-use"},
		{"an error page", func(string) string { return "<html>" }, "not a JSON object"},
		{"nothing", func(string) string { return "" }, "not a JSON object"},
		{"1 MiB and a byte", func(url string) string {
			text := metadataOf(url, url+"/jwks")
			return text + strings.Repeat(" ", verify.MaxFetched+1-len(text))
		}, "larger than"},
		{"1 MiB", func(url string) string {
			text := metadataOf(url, url+"/jwks")
			return text + strings.Repeat(" ", verify.MaxFetched-len(text))
		}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newMetadataServer(t, "a")
			s.text(openIDPath, row.document(s.URL))
			s.key(t, s.URLKeys, "a", row.why)
			if row.why != "" {
				s.count(t, "/jwks", 0)
				if !strings.Contains(s.log.String(), row.why) || !strings.Contains(s.log.String(), "there are no keys yet") {
					t.Errorf("the log does not say that and why: %s", &s.log)
				}
			}
		})
	}
}

// Answers that are no document, or come too late. While there was a good one, it stays.
func TestDiscoveryBadAnswers(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer func(s *metadataServer) http.HandlerFunc
		why    string
	}{
		{"a redirect to a good one", func(s *metadataServer) http.HandlerFunc {
			s.text("/other", metadataOf(s.URL, s.URL+"/jwks"))
			return func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, s.URL+"/other", http.StatusFound)
			}
		}, "status 302"},
		{"500", func(*metadataServer) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }
		}, "status 500"},
		{"401", func(*metadataServer) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }
		}, "status 401"},
		{"no answer", func(*metadataServer) http.HandlerFunc {
			return func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); panic(http.ErrAbortHandler) }
		}, "deadline exceeded"},
		{"a body without end", func(*metadataServer) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					_, _ = w.Write(make([]byte, 1<<16))
				}
			}
		}, "larger than"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newMetadataServer(t, "a")
			slow := row.why == "deadline exceeded"
			first := s.discover(t, s.URL, "")
			if slow {
				first.SetTimeout(200 * time.Millisecond)
			}
			s.at(openIDPath, row.answer(s))
			s.key(t, first, "a", row.why)
			s.text(openIDPath, metadataOf(s.URL, s.URL+"/jwks"))
			s.clock.Advance(verify.FetchSpacing)
			s.key(t, first, "a", "") // it recovers
			s.at(openIDPath, row.answer(s))
			s.text("/jwks", keySetOf("b"))
			s.clock.Advance(13 * time.Hour) // the document is due, and so are the keys
			if slow {
				first.SetTimeout(2 * time.Second) // half of it is left for the keys
			}
			s.key(t, first, "b", "")
			s.Settle()
			if !strings.Contains(s.log.String(), "keeping its previous jwks_uri") || !strings.Contains(s.log.String(), row.why) {
				t.Errorf("the log does not say that and why: %s", &s.log)
			}
		})
	}
}

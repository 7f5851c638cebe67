package tokeneptest

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Answer is what the server sends.
type Answer struct {
	Request Request
	Status  int
	Header  http.Header
	Body    []byte
	JSON    map[string]any // nil if the body is not a JSON object
}

func readAnswer(r *http.Response) (Answer, error) {
	a := Answer{Status: r.StatusCode, Header: r.Header}
	var err error
	a.Body, err = io.ReadAll(r.Body)
	_ = json.Unmarshal(a.Body, &a.JSON) // stays nil
	return a, err
}

// AccessToken returns the access_token; empty if there is none.
func (a Answer) AccessToken() string {
	token, _ := a.JSON["access_token"].(string)
	return token
}

// Members returns the names of the members of the JSON, sorted.
func (a Answer) Members() []string { return slices.Sorted(maps.Keys(a.JSON)) }

// Refused fails the test unless the answer is this refusal. It holds the answer to what RFC 6749
// §5.2 says of errors.
func (a Answer) Refused(t testing.TB, status int, code tokenep.Code) {
	t.Helper()
	if a.Status != status || a.JSON["error"] != string(code) && a.Request.Method != http.MethodHead {
		t.Fatalf("%d %s, want %d %s", a.Status, a.Body, status, code)
	}
	a.NotStored(t)
	present := func(name string, want bool) {
		t.Helper()
		if values := a.Header.Values(name); (len(values) == 1) != want || len(values) > 1 {
			t.Errorf("%s: %q with status %d; want one: %v", name, values, status, want)
		}
	}
	scheme := challengeOf(status, code, a.Request)
	present("WWW-Authenticate", scheme != "")
	present("Allow", status == http.StatusMethodNotAllowed)
	present("Retry-After", status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable)
	if challenge := a.Header.Get("WWW-Authenticate"); challenge != "" && !strings.HasPrefix(challenge, scheme) {
		t.Errorf("WWW-Authenticate: %s", challenge)
	}
	for name, value := range a.JSON {
		text, isText := value.(string)
		if !isText || name != "error" && name != "error_description" {
			t.Errorf("the error has a member %s = %v", name, value)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
			t.Errorf("%s has characters outside RFC 6749 §5.2: %q", name, text)
		}
	}
}

// challengeOf returns the scheme of the challenge in a refusal (RFC 6749 §5.2, RFC 6750 §3), if
// there must be one.
func challengeOf(status int, code tokenep.Code, r Request) string {
	switch {
	case code == tokenep.InvalidToken:
		return "Bearer "
	case status == http.StatusUnauthorized && len(r.Header["Authorization"]) > 0:
		return "Basic "
	}
	return ""
}

// NotStored holds the answer to the headers of RFC 6749 §5.1, so that no cache stores it.
func (a Answer) NotStored(t testing.TB) {
	t.Helper()
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"} {
		if got := a.Header.Values(name); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %s", name, got, want)
		}
	}
}

// Issued is Granted, and returns the access token alone.
func (s *Server) Issued(t testing.TB, r Request) string {
	t.Helper()
	a, _ := s.Granted(t, r)
	return a.AccessToken()
}

// unbound lets a verifier accept tokens whatever they are bound to.
func unbound(c *verify.Config) { c.Issuers[0].InsecureAnyConfirmation = true }

// Granted sends a request and fails the test unless an access token is the answer. It returns what
// the token says to Verify, and holds the answer to RFC 6749 §5.1.
func (s *Server) Granted(t testing.TB, r Request) (Answer, *verify.Token) {
	t.Helper()
	a := s.Send(t, r)
	if a.Status != http.StatusOK {
		t.Fatalf("%d %s, want a token", a.Status, a.Body)
	}
	a.NotStored(t)
	if values := a.Header.Values("WWW-Authenticate"); values != nil {
		t.Errorf("WWW-Authenticate: %q with status 200", values)
	}
	for name, value := range a.JSON {
		if value == nil || value == "" {
			t.Errorf("the answer has an empty member %s", name)
		}
	}
	kind := "Bearer"
	if len(r.Header["Dpop"]) > 0 { // RFC 9449 §5
		kind = "DPoP"
	}
	if a.JSON["token_type"] != kind {
		t.Errorf("token_type is %v, want %s", a.JSON["token_type"], kind)
	}
	token, err := s.NewVerifier(t, unbound).Verify(t.Context(), verify.Presentation{Token: a.AccessToken()})
	if err != nil {
		t.Fatal(err)
	}
	if left := token.Expires.Sub(s.Config.Now()); a.JSON["expires_in"] != float64(left/time.Second) {
		t.Errorf("expires_in is %v, the token is good for %s", a.JSON["expires_in"], left)
	}
	if strings.Contains(s.Log.String(), a.AccessToken()) {
		t.Error("the log shows the token")
	}
	return a, token
}

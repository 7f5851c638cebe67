package tokeneptest

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// Request is what a client sends. Its methods return a changed copy.
type Request struct {
	Method, Path, Body string
	Header             http.Header
	Chunked            bool // the body is sent without its length
}

// Post returns a request to the token endpoint with a form, of names and values in turn.
func Post(pairs ...string) Request {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(pairs[i]) + "=" + url.QueryEscape(pairs[i+1]))
	}
	return PostForm(b.String())
}

// PostForm returns a request to the token endpoint with a body that claims to be a form.
func PostForm(body string) Request {
	return Request{
		Method: http.MethodPost, Path: TokenPath, Body: body,
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	}
}

// PostJSON returns a request to JSONPath with a body that claims to be JSON.
func PostJSON(body string) Request {
	return PostForm(body).With("Content-Type", "application/json").At(JSONPath)
}

// Get returns a request for a document.
func Get(path string) Request {
	return Request{Method: http.MethodGet, Path: path, Header: http.Header{}}
}

// ClientCredentials returns a request for a token of the client's own (RFC 6749 §4.4), with further
// parameters.
func ClientCredentials(pairs ...string) Request {
	return Post(append([]string{"grant_type", grant.ClientCredentialsType}, pairs...)...)
}

// Exchange returns a request to exchange a token (RFC 8693), with further parameters.
func Exchange(token, tokenType string, pairs ...string) Request {
	return Post(append([]string{
		"grant_type", grant.TokenExchangeType, "subject_token", token, "subject_token_type", tokenType,
	}, pairs...)...)
}

// ExchangeAccessToken is Exchange for an access token of the server.
func ExchangeAccessToken(token string, pairs ...string) Request {
	return Exchange(token, grant.AccessTokenType, pairs...)
}

// ExchangeAPIToken is Exchange for an API token.
func ExchangeAPIToken(token string, pairs ...string) Request {
	return Exchange(token, server.APITokenType, pairs...)
}

// At sends the request to another path.
func (r Request) At(path string) Request { r.Path = path; return r }

// With sets a header.
func (r Request) With(name string, values ...string) Request {
	r.Header = r.Header.Clone()
	r.Header[name] = values
	return r
}

// Basic adds credentials to the Authorization header, as RFC 6749 §2.3.1 requires.
func (r Request) Basic(id, secret string) Request {
	return r.RawBasic(url.QueryEscape(id) + ":" + url.QueryEscape(secret))
}

// RawBasic adds these bytes as Basic credentials (RFC 7617).
func (r Request) RawBasic(userPass string) Request {
	return r.With("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(userPass)))
}

// By authenticates a client of Clients or NewClient.
func (r Request) By(id string) Request { return r.Basic(id, id+"-secret") }

// Send sends a request and returns the answer. It follows no redirect.
func (s *Server) Send(t testing.TB, r Request) Answer {
	t.Helper()
	var body io.Reader = strings.NewReader(r.Body)
	if r.Chunked {
		body = io.MultiReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), r.Method, s.URL+r.Path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = r.Header
	var res *http.Response
	if s.URL == "" {
		recorded := httptest.NewRecorder()
		s.Handler.ServeHTTP(recorded, req)
		res = recorded.Result()
	} else if res, err = http.DefaultTransport.RoundTrip(req); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	a, err := readAnswer(res)
	if err != nil {
		t.Fatal(err)
	}
	a.Request = r
	return a
}

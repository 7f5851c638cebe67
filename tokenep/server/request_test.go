package server_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// request is what a client sends.
type request struct {
	method, path, body string
	header             http.Header
	chunked            bool
}

// post is a form, of names and values in turn, for the token endpoint.
func post(pairs ...string) request {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(pairs[i]) + "=" + url.QueryEscape(pairs[i+1]))
	}
	return raw(b.String())
}

// raw is a body that claims to be a form.
func raw(body string) request {
	return request{method: http.MethodPost, path: tokenPath, body: body, header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
}

// get asks for a document.
func get(path string) request {
	return request{method: http.MethodGet, path: path, header: http.Header{}}
}

func jsonBody(body string) request {
	return raw(body).with("Content-Type", "application/json").at(jsonPath)
}

func (r request) at(path string) request { r.path = path; return r }

func (r request) with(name string, values ...string) request {
	r.header = r.header.Clone()
	r.header[name] = values
	return r
}

// basic adds credentials as RFC 6749 §2.3.1 would have them.
func (r request) basic(id, secret string) request {
	return r.rawBasic(url.QueryEscape(id) + ":" + url.QueryEscape(secret))
}

// rawBasic adds these very bytes as Basic credentials.
func (r request) rawBasic(userPass string) request {
	return r.with("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(userPass)))
}

// by authenticates a client whose secret is its id with -secret behind it.
func (r request) by(id string) request { return r.basic(id, id+"-secret") }

// answer is what the server sends.
type answer struct {
	request
	status int
	header http.Header
	body   []byte
	json   map[string]any // nil if the body is no JSON object
}

// do sends a request, over a real connection if the fixture listens, and follows no redirect.
func (f *fixture) do(t *testing.T, r request) answer {
	t.Helper()
	var body io.Reader = strings.NewReader(r.body)
	if r.chunked {
		body = io.MultiReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, f.url+r.path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = r.header
	var res *http.Response
	if f.url == "" {
		recorded := httptest.NewRecorder()
		f.handler.ServeHTTP(recorded, req)
		res = recorded.Result()
	} else if res, err = http.DefaultTransport.RoundTrip(req); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	a := answer{request: r, status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(a.body, &a.json)
	return a
}

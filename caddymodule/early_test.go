package caddymodule_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// refuseBody is a handler of a third party whose requests have a body that cannot be read, for a
// reason that has a status.
type refuseBody struct{}

func init() {
	caddy.RegisterModule(refuseBody{})
	httpcaddyfile.RegisterHandlerDirective("test_refuse_body", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next() // consume directive name
		return refuseBody{}, nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_refuse_body", httpcaddyfile.After, "request_body")
}

func (refuseBody) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_refuse_body", New: func() caddy.Module { return new(refuseBody) }}
}

func (refuseBody) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	r.Body = refusedBody{r.Body}
	return next.ServeHTTP(w, r)
}

type refusedBody struct{ io.ReadCloser }

func (refusedBody) Read([]byte) (int, error) {
	return 0, caddyhttp.Error(http.StatusUnsupportedMediaType, errors.New("not in this form"))
}

// refusals runs a site with handlers around those of this module: they wrap the request and its
// answer, limit the body, and write the answer to a refusal.
func refusals(t *testing.T) (*running, *verifytest.Issuer) {
	t.Helper()
	idp := verifytest.New("https://idp.example", "orders")
	errorPages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "sorry: ")
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(errorPages.Close)
	c := newCaddy(t, "%PAGES%", errorPages.Listener.Addr().String())
	writeFile(t, filepath.Join(c.dir, "jwks.json"), string(idp.JWKS()))
	c.mustLoad("servers {\nprotocols h1 h2c\n}\n"+runServer("memory", ""), `
%SITE% {
	log {
		output file %DIR%/access.log
	}
	encode {
		minimum_length 1
	}
	request_body /limited/* {
		max_size 10
	}
	test_refuse_body /media/*
	rewrite /limited/token /oauth/token
	rewrite /media/token /oauth/token
	oauth_token
	oauth_verify {
		issuer https://idp.example {
			jwks_file %DIR%/jwks.json
			audience orders
		}
		form_token
		insecure_query_token
	}
	handle_errors {
		header X-Handled yes
		handle /page* {
			reverse_proxy %PAGES%
		}
		handle {
			respond "sorry: {err.status_code}" {err.status_code}
		}
	}
	test_whoami
}
`)
	return c, idp
}

// RFC 9112 §9.6: a refusal does not wait for a body that nobody reads, whoever writes it.
func TestRefusalsDoNotWait(t *testing.T) {
	c, _ := refusals(t)
	const head = " HTTP/1.1\nHost: 127.0.0.1\n"
	const form = head + "Content-Type: application/x-www-form-urlencoded\n"
	part := strings.Repeat("a", 1<<10)
	for _, row := range []struct {
		name, request string
		status        int
		handled       bool
	}{
		{"no token", "POST /orders" + head + "Content-Length: 300000\n\n" + part, 401, true},
		{"a token in the query", "POST /orders?access_token=x" + head + "Content-Length: 300000\n\n" + part, 401, true},
		{"a bad token", "PUT /orders" + head + "Authorization: Bearer x\nTransfer-Encoding: chunked\n\n400\n" + part, 401, true},
		{"malformed", "POST /orders" + head + "Authorization: Bearer\nAccept-Encoding: gzip\nContent-Length: 10\n\n", 400, true},
		{"RFC 9110 §10.1.1 Expect", "POST /orders" + head + "Expect: 100-continue\nContent-Length: 300000\n\n", 401, true},
		{"a form that is too large", "POST /orders" + form + "Content-Length: 300000\n\n" + part, 400, true},
		{"a body that was sent", "POST /orders" + head + "Content-Length: 307200\n\n" + strings.Repeat(part, 300), 401, true},
		{"an error page that gets the body", "POST /page" + head + "Content-Length: 5\n\nhello", 200, true},
		{"a form over the limit", "POST /limited/orders" + form + "Transfer-Encoding: chunked\n\n14\n" + part, 413, true},
		{"a form that is refused by another handler", "POST /media/orders" + form + "Content-Length: 10\n\n", 415, true},

		{"a request that is too large", "POST /oauth/token" + form + "Content-Length: 300000\n\n" + part, 413, false},
		{"over the limit", "POST /limited/token" + form + "Transfer-Encoding: chunked\n\n14\n" + part, 413, false},
		{"refused by another handler", "POST /media/token" + form + "Content-Length: 10\n\n", 415, false},
		{"another method", "DELETE /oauth/token" + head + "Content-Length: 300000\n\n" + part, 405, false},
		{"no endpoint", "POST /oauth/nothing" + head + "Content-Length: 300000\n\n" + part, 404, false},
		{"the key set", "GET /oauth/jwks" + head + "Content-Length: 300000\n\n" + part, 200, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := tokeneptest.Converse(t, c.site, row.request).LastAnswer(row.status)
			if handled := a.Header.Get("X-Handled") == "yes"; handled != row.handled {
				t.Errorf("handle_errors answers: %v", handled)
			}
			if strings.HasPrefix(row.request, "POST /page") && string(a.Body) != "sorry: hello" {
				t.Errorf("the error page is %q", a.Body)
			}
			if challenge := a.Header.Get("WWW-Authenticate"); row.handled && (challenge != "") != (row.status < 402) {
				t.Errorf("challenge %q with status %d", challenge, row.status)
			}
		})
	}
}

// A refusal without a body, or with one that was read, keeps its connection, and is nothing to the
// requests that follow it.
func TestRefusalsKeepConnection(t *testing.T) {
	c, idp := refusals(t)
	const head = " HTTP/1.1\nHost: 127.0.0.1\n"
	const form = "Content-Type: application/x-www-form-urlencoded\n"
	good := "Authorization: Bearer " + idp.Sign(nil) + "\n"
	all := []struct {
		request string
		status  int
	}{
		{"GET /orders" + head + "\n", 401},
		{"POST /orders" + head + form + "Content-Length: 14\n\naccess_token=x", 401},
		{"POST /orders" + head + good + "Content-Length: 5\n\nhello", 200}, // which nobody reads
		{"POST /orders" + head + form + "Transfer-Encoding: chunked\n\n3\na=b\n0\n\n", 401},
		{"POST /oauth/token" + head + form + "Content-Length: 12\n\ngrant_type=x", 400},
		{"GET /oauth/jwks" + head + "\n", 200},
		{"GET /oauth/nothing" + head + "\n", 404},
		{"POST /orders" + head + "Content-Length: 0\n\n", 401},
		{"GET /orders" + head + good + "\n", 200},
	}
	var requests string
	for _, row := range all {
		requests += row.request
	}
	conversation := tokeneptest.Converse(t, c.site, requests)
	for _, row := range all {
		conversation.Answer(row.status)
	}
}

// RFC 9113 §8.1: over HTTP/2 the stream of a refusal ends alone.
func TestRefusalsEndStream(t *testing.T) {
	c, idp := refusals(t)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	connections := 0
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		connections++
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	for _, row := range []struct {
		path, token string
		status      int
	}{
		{"/orders", "", http.StatusUnauthorized},
		{"/oauth/nothing", "", http.StatusNotFound},
		{"/orders", idp.Sign(nil), http.StatusOK},
	} {
		body, more := io.Pipe() // from which nothing comes
		defer more.Close()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.site+row.path, body)
		if err != nil {
			t.Fatal(err)
		}
		if row.token != "" {
			r.Header.Set("Authorization", "Bearer "+row.token)
		}
		a, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = a.Body.Close()
		if a.ProtoMajor != 2 || a.StatusCode != row.status || a.Header.Get("Connection") != "" {
			t.Errorf("%s: HTTP/%d %d %v", row.path, a.ProtoMajor, a.StatusCode, a.Header)
		}
	}
	if connections != 1 {
		t.Errorf("%d connections, want 1", connections)
	}
}

package browser

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tokenep/caddy-tokenep/caddymodule"
)

// site is a Caddy in this process whose server signs people in, and an application that asks it.
type site struct {
	t      *testing.T
	url    string // the issuer
	dir    string // of Caddy's files
	client *httptest.Server
	sent   chan sentBack
}

// sentBack is what the application gets.
type sentBack struct {
	method string
	values url.Values
}

// siteFile has two services: what is for one of them is no use at the other.
const siteFile = `{
	admin off
	default_bind 127.0.0.1
	skip_install_trust
	auto_https disable_redirects
	persist_config off
	storage file_system %DIR%
	log {
		output discard
	}
	oauth_server {
		issuer %SITE%
		store memory
		pages {
			name "Example Ltd."
		}
		users inline {
			user ada $2a$04$N2VHr1/Bi6VhOOC6Bv/MTOggR1RrLPVcLPZqyhTqYn1F7wSR4ajGG
		}
		client notes {
			name "Notes for you"
			secret demo
			grants authorization_code
			redirect_uris %CLIENT%/callback
			post_logout_redirect_uris %CLIENT%/bye
			scope orders:read orders:write
			audience %SITE%/orders
		}
		%SERVER%
	}
}
%SITE% {
	tls internal
	oauth_token
	@orders path /orders
	oauth_verify @orders {
		audience %SITE%/orders
	}
	@invoices path /invoices
	oauth_verify @invoices {
		audience %SITE%/invoices
	}
	respond "the site"
}
`

// newSite starts one. Caddy runs once in a process: tests that have one do not run at once.
func newSite(t *testing.T, server string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), sent: make(chan sentBack, 10)}
	s.client = httptest.NewServer(http.HandlerFunc(s.application))
	t.Cleanup(s.client.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = fmt.Sprintf("https://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	_ = listener.Close()
	text := strings.NewReplacer("%DIR%", s.dir, "%SITE%", s.url, "%CLIENT%", s.client.URL).
		Replace(strings.Replace(siteFile, "%SERVER%", server, 1))
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	s.ready()
	return s
}

// ready waits for the certificate.
func (s *site) ready() {
	s.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var a *http.Response
		if a, err = trusting.Get(s.url); err == nil {
			_ = a.Body.Close()
			return
		}
	}
	s.t.Fatal(err)
}

// application is the other site, which shows what it gets.
func (s *site) application(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	if r.URL.Path == "/callback" {
		s.sent <- sentBack{r.Method, r.Form}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	switch r.URL.Path {
	case "/opener": // which is told by the page in the window that it opens
		_, _ = fmt.Fprintf(w, `<!DOCTYPE html><title>Notes</title><button data-to="%s" onclick="window.open(this.dataset.to, '', 'popup')">Sign in</button>
<script>addEventListener("message", e => document.title = e.origin == origin ? e.data : "from " + e.origin)</script>`, html.EscapeString(r.Form.Get("to")))
		return
	case "/frame":
		_, _ = fmt.Fprintf(w, `<!DOCTYPE html><iframe src="%s" onload="document.title = 'loaded'"></iframe>`, html.EscapeString(r.Form.Get("to")))
		return
	case "/form":
		_, _ = fmt.Fprintf(w, `<!DOCTYPE html><form method="post" action="%s"><button>A prize</button>`, html.EscapeString(r.Form.Get("to")))
		for name, values := range r.Form {
			_, _ = fmt.Fprintf(w, `<input type="hidden" name="%s" value="%s">`, html.EscapeString(name), html.EscapeString(values[0]))
		}
		return
	}
	_, _ = fmt.Fprintf(w, "<!DOCTYPE html><title>Notes</title><p>Back at the application: %s<script>opener?.postMessage('back at ' + location.pathname, origin)</script>", html.EscapeString(r.URL.Path))
}

// asks is an authorization request of the application, with further parameters.
func (s *site) asks(pairs ...string) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {"notes"}, "redirect_uri": {s.client.URL + "/callback"},
		"scope": {"orders:read"}, "state": {"af0ifjsldkj"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return s.url + "/oauth/authorize?" + q.Encode()
}

// got returns what the application got.
func (s *site) got(b *tab) sentBack {
	s.t.Helper()
	b.sees("Back at the application: /callback")
	select {
	case got := <-s.sent:
		return got
	default:
		s.t.Fatal("the application got nothing")
		return sentBack{}
	}
}

// redeem exchanges a code for an access token.
func (s *site) redeem(code string) (token string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/oauth/token", strings.NewReader(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {s.client.URL + "/callback"},
		"code_verifier": {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
	}.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("notes", "demo")
	a, err := trusting.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Body.Close()
	body, _ := io.ReadAll(a.Body)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		s.t.Fatalf("%d %s; want an access token", a.StatusCode, body)
	}
	return answer.Token
}

// trusting makes requests to Caddy's own authority.
var trusting = &http.Client{Transport: &http.Transport{
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
}}

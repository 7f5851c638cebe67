package caddymodule_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// proxy is a Caddy process that these tests load, break and kill. It serves on a socket that it
// inherits, as by systemd's socket activation, since that socket stays when a configuration is
// replaced. If Caddy opens the socket itself there are two for a moment, and connections in the
// queue of the old one are reset when it closes.
type proxy struct {
	*process
	t      testing.TB
	ctx    context.Context // of the requests
	dir    string
	store  string // what a Caddyfile says of it
	more   string // further options of the server when it is started
	socket *os.File
	listen net.Addr
	site   *http.Client // for http://localhost
	ops    *http.Client // for the admin API, at http://localhost too
}

const (
	proxyURL = "http://localhost"

	proxyFile = `{
	admin unix/%DIR%/admin
	persist_config off
	storage file_system %DIR%/storage
	log {
		level WARN
	}
	servers {
		protocols h1 h2c
		trusted_proxies static 127.0.0.1/32
		trusted_proxies_strict
	}
	oauth_server {
		issuer http://localhost
		%STORE%
		client billing {
			secret ` + marker + `
			grants client_credentials
			scope orders:read orders:write
			audience orders
		}
		token_exchange {
			anonymous
			api_tokens
		}
		%MORE%
	}
}
http://localhost {
	bind fd/3
	oauth_token
	handle /orders* {
		oauth_verify {
			audience orders
		}
		%UPSTREAM%
	}
	respond /bare "bare"
}
`
)

// newProxy prepares a proxy. store is the line of the Caddyfile for its store.
func newProxy(t testing.TB, store string) *proxy {
	t.Helper()
	dir, err := os.MkdirTemp("", "proxy") // short: the path of a socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{
		t: t, ctx: t.Context(), dir: dir, store: store,
		listen: listener.Addr(), ops: clientFor(&net.UnixAddr{Name: dir + "/admin", Net: "unix"}, false),
	}
	p.site = p.newClient()
	if p.socket, err = listener.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	_ = listener.Close() // the file is another descriptor of the same socket
	t.Cleanup(func() {
		p.kill()
		_ = p.socket.Close()
		p.checkLog()
		_ = os.RemoveAll(dir)
	})
	return p
}

// newClient returns a client with connections of its own.
func (p *proxy) newClient() *http.Client { return clientFor(p.listen, true) }

func (p *proxy) checkLog() {
	log, _ := os.ReadFile(p.path("log"))
	if bytes.Contains(log, []byte("DATA RACE")) || bytes.Contains(log, []byte("panic")) {
		p.t.Error("the log has a race or a panic")
	}
	if p.t.Failed() {
		p.t.Logf("the end of the log of %s:\n%s", p.dir, log[max(0, len(log)-8<<10):])
	}
}

// clientFor returns a client for one address, which speaks HTTP/2 or HTTP/1.1. A server of net/http
// loses HTTP/1.1 requests that come while it shuts down. In HTTP/2 it says which requests it has
// not processed (RFC 9113 §6.8), and the client sends those again.
func clientFor(address net.Addr, http2 bool) *http.Client {
	transport := &http.Transport{
		DisableKeepAlives: !http2,
		Protocols:         new(http.Protocols),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, address.Network(), address.String())
		},
	}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	return &http.Client{
		Timeout: 30 * time.Second, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (p *proxy) path(name string) string { return filepath.Join(p.dir, name) }

// caddyfile returns the configuration. more are further options of the server, and upstream is what
// is behind oauth_verify.
func (p *proxy) caddyfile(more, upstream string) string {
	text := strings.NewReplacer("%STORE%", p.store, "%MORE%", more, "%UPSTREAM%", upstream).Replace(proxyFile)
	return strings.ReplaceAll(text, "%DIR%", p.dir)
}

// start starts the process, and returns an error if it ends instead.
func (p *proxy) start(environment ...string) error {
	p.t.Helper()
	writeFile(p.t, p.path("Caddyfile"), p.caddyfile(p.more, "respond orders"))
	log, err := os.OpenFile(p.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	environment = append(os.Environ(), append(environment, "XDG_DATA_HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir)...)
	p.process, err = startProcess("caddy", p.dir, environment, log, "Caddyfile", p.socket)
	return err
}

func (p *proxy) mustStart(environment ...string) {
	p.t.Helper()
	if err := p.start(environment...); err != nil {
		p.t.Fatal(err)
	}
}

// kill ends the process as kill -9 does.
func (p *proxy) kill() {
	if p.process != nil {
		p.end(os.Kill)
		p.process = nil
	}
}

// load replaces the configuration.
func (p *proxy) load(config []byte) response {
	return p.do(p.ops, http.MethodPost, "/load", string(config), "Content-Type", "application/json", "Cache-Control", "must-revalidate")
}

// do makes a request, once. The status is 0 if there is no answer. The admin API is replaced with
// the configuration as well, and has only HTTP/1.1: requests that it drops are sent again.
func (p *proxy) do(client *http.Client, method, path, body string, header ...string) response {
	r, err := http.NewRequestWithContext(p.ctx, method, proxyURL+path, strings.NewReader(body))
	if err != nil {
		return response{body: err.Error()}
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answered, err := client.Do(r)
	for range 10 {
		if client != p.ops || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			break
		}
		r.Body, _ = r.GetBody()
		answered, err = client.Do(r)
	}
	if err != nil {
		return response{body: err.Error()}
	}
	defer answered.Body.Close()
	content, err := io.ReadAll(answered.Body)
	if err != nil {
		return response{body: fmt.Sprint(answered.Status, ", and then ", err)}
	}
	return response{answered.StatusCode, answered.Header, string(content)}
}

// get requests what oauth_verify protects.
func (p *proxy) get(token string) response {
	return p.do(p.site, http.MethodGet, "/orders", "", "Authorization", "Bearer "+token)
}

// post sends a form to an endpoint, with the credentials of a client, or without any if id is
// empty.
func (p *proxy) post(path, id, secret string, pairs ...string) response {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	header := []string{"Content-Type", "application/x-www-form-urlencoded"}
	if id != "" {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(id, secret)
		header = append(header, "Authorization", r.Header.Get("Authorization"))
	}
	return p.do(p.site, http.MethodPost, path, form.Encode(), header...)
}

// credentials requests a token by client credentials.
func (p *proxy) credentials(id, secret string) response {
	return p.post("/oauth/token", id, secret, "grant_type", "client_credentials")
}

// exchange requests a token with an API token.
func (p *proxy) exchange(apiToken string) response {
	return p.post("/oauth/token", "", "", "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token", apiToken,
		"subject_token_type", "urn:tokenep:params:oauth:token-type:api_token")
}

// revoke revokes a token of billing.
func (p *proxy) revoke(token string) response {
	return p.post("/oauth/revoke", "billing", marker, "token", token)
}

// manage makes a request to the admin API for the server.
func (p *proxy) manage(method, path string, body any) response {
	content := []byte(nil)
	if body != nil {
		content, _ = json.Marshal(body)
	}
	return p.do(p.ops, method, "/oauth_server/default"+path, string(content), "Content-Type", "application/json")
}

// makeAPIToken creates an API token of ada.
func (p *proxy) makeAPIToken() response {
	return p.manage(http.MethodPost, "/api_tokens", map[string]string{"owner": "ada", "service": "orders"})
}

// member returns a string in an answer that is a JSON object, or "".
func (a response) member(path string) string {
	var value any
	_ = json.Unmarshal([]byte(a.body), &value)
	for step := range strings.SplitSeq(path, ".") {
		value = member(value, step)
	}
	text, _ := value.(string)
	return text
}

func (a response) accessToken() string { return a.member("access_token") }

// goroutines and memory return what pprof says of the process: the number of goroutines, and the
// bytes of heap in use after a collection.
func (p *proxy) goroutines() int {
	return p.profile("/debug/pprof/goroutine?debug=1", `goroutine profile: total (\d+)`)
}

func (p *proxy) memory() int {
	return p.profile("/debug/pprof/heap?gc=1&debug=1", `# HeapAlloc = (\d+)`)
}

func (p *proxy) profile(path, figure string) int {
	p.t.Helper()
	a := p.do(p.ops, http.MethodGet, path, "")
	found := regexp.MustCompile(figure).FindStringSubmatch(a.body)
	if found == nil {
		p.t.Fatalf("%s: %d %.200s", path, a.status, a.body)
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// settled returns the number of goroutines as soon as it has fallen to enough, or after some
// seconds.
func (p *proxy) settled(enough int) int {
	n := p.goroutines()
	for deadline := time.Now().Add(10 * time.Second); n > enough && time.Now().Before(deadline); n = p.goroutines() {
		time.Sleep(50 * time.Millisecond)
	}
	return n
}

// within repeats a request until the status is as wanted, and returns how long that took.
func (p *proxy) within(bound time.Duration, what string, status int, ask func() response) time.Duration {
	p.t.Helper()
	began := time.Now()
	for {
		a := ask()
		took := time.Since(began)
		if a.status == status {
			return took
		}
		if took > bound {
			p.t.Fatalf("%s: after %s status %d, want %d; %s", what, took, a.status, status, a.body)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// database starts a database server. It returns the line of a Caddyfile for it as a store, and the
// environment that the line needs.
func database(t testing.TB, engine string, settings ...string) (s *servertest.Process, store, environment string) {
	t.Helper()
	s = servertest.For(t, databases[engine], settings...)
	return s, "store " + engine + " {env.DATABASE_URL}", "DATABASE_URL=" + s.URL
}

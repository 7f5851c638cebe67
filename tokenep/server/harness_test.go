package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/verify"
)

const (
	issuer     = "https://as.example"
	orders     = "https://api.example/orders"
	invoices   = "https://api.example/invoices"
	tokenPath  = "/oauth/token"
	jsonPath   = "/v2/oauth/token" // a dialect with JSON bodies
	phrasePath = "/phrase/token"   // a dialect for callers that send a bare API token
	revokePath = "/oauth/revoke"

	cc          = grant.ClientCredentialsType
	exchange    = grant.TokenExchangeType
	accessToken = grant.AccessTokenType
	apiToken    = server.APITokenType
)

// The clients of the tests. A secret is the id with -secret behind it, unless it is said otherwise.
var clients = []tokenep.Client{
	{ID: "billing", Secrets: secrets("billing-secret"), Grants: []string{cc, exchange},
		Scope: verify.Scope{"orders:read", "orders:write", "invoices"}, Default: verify.Scope{"orders:read"}, Audience: []string{orders, invoices}},
	{ID: "reports", Secrets: secrets("reports-secret"), Grants: []string{cc}, Scope: verify.Scope{"reports"}},
	{ID: "headers", Secrets: secrets("headers-secret"), Grants: []string{cc}, AuthMethod: tokenep.AuthBasic},
	{ID: "bodies", Secrets: secrets("bodies-secret"), Grants: []string{cc}, AuthMethod: tokenep.AuthPost},
	{ID: "short", Secrets: secrets("short-secret"), Grants: []string{cc, exchange}, TokenTTL: 90 * time.Second},
	{ID: "app", Grants: []string{cc, exchange}, AuthMethod: tokenep.AuthNone}, // public
	{ID: "odd:% id", Secrets: secrets("odd"), Grants: []string{cc}},
	{ID: "odd", Secrets: secrets(oddSecret), Grants: []string{cc}},
	{ID: "two%20readings", Secrets: secrets("x y"), Grants: []string{cc}},
	{ID: "fragment", Secrets: secrets("fragment-secret"), Grants: []string{cc}, Audience: []string{orders + "#a"}},
	{ID: "turning", Grants: []string{cc}, Secrets: []tokenep.Secret{
		{Hash: tokenep.HashSecret("old-secret"), Expires: start}, {Hash: tokenep.HashSecret("this-secret"), Expires: start.Add(time.Hour)}, {Hash: tokenep.HashSecret("next-secret")},
	}},
	{ID: "gateway", Secrets: secrets("gateway-secret"), Grants: []string{cc, exchange}, From: []string{"billing"},
		Scope: verify.Scope{"orders:read", "invoices"}, Audience: []string{orders}},
	{ID: "broker", Secrets: secrets("broker-secret"), Grants: []string{exchange}, From: []string{"*"},
		Scope: verify.Scope{"orders:read", "orders:write", "invoices"}, Audience: []string{orders, invoices, issuer}},
	{ID: "stranger", Secrets: secrets("stranger-secret"), Grants: []string{cc, exchange}, Audience: []string{orders}},
}

const oddSecret = `p%ä:s +w"ö`

func secrets(all ...string) (s []tokenep.Secret) {
	for _, secret := range all {
		s = append(s, tokenep.Secret{Hash: tokenep.HashSecret(secret)})
	}
	return s
}

// start is not a whole second, so that what ought to be rounded down is seen to be.
var start = time.Date(2026, 3, 4, 5, 6, 7, 900e6, time.UTC)

// fixture is a server with everything that a test may want to turn.
type fixture struct {
	*server.Server
	url   string
	clock *clock
	store *breakable
	log   *log
}

type clock struct{ passed atomic.Int64 }

func (c *clock) Now() time.Time          { return start.Add(time.Duration(c.passed.Load())) }
func (c *clock) Advance(d time.Duration) { c.passed.Add(int64(d)) }

type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// breakable is a store that can be away, and that counts what is written.
type breakable struct {
	store.Store
	away   atomic.Bool
	writes atomic.Int64
}

func (b *breakable) err() error {
	if b.away.Load() {
		return fmt.Errorf("%w: pulled the plug", store.ErrUnavailable)
	}
	return nil
}

func (b *breakable) write(verb func() error) error {
	if err := b.err(); err != nil {
		return err
	}
	b.writes.Add(1)
	return verb()
}

func (b *breakable) Insert(ctx context.Context, r store.Record) error {
	return b.write(func() error { return b.Store.Insert(ctx, r) })
}

func (b *breakable) Swap(ctx context.Context, old, next store.Record) error {
	return b.write(func() error { return b.Store.Swap(ctx, old, next) })
}

func (b *breakable) Delete(ctx context.Context, kind, id string) error {
	return b.write(func() error { return b.Store.Delete(ctx, kind, id) })
}

func (b *breakable) Load(ctx context.Context, kind, id string) (store.Record, error) {
	if err := b.err(); err != nil {
		return store.Record{}, err
	}
	return b.Store.Load(ctx, kind, id)
}

func (b *breakable) List(ctx context.Context, kind, prefix, after string, limit int) ([]store.Record, error) {
	if err := b.err(); err != nil {
		return nil, err
	}
	return b.Store.List(ctx, kind, prefix, after, limit)
}

// newFixture starts a server. Failures of client authentication are not limited, unless a change to the configuration says so.
func newFixture(t *testing.T, changes ...func(*server.Config)) *fixture {
	t.Helper()
	f := &fixture{clock: new(clock), log: new(log)}
	f.store = &breakable{Store: memory.New(memory.Options{Now: f.clock.Now})}
	c := server.Config{
		Issuer: issuer, Store: f.store, Memory: server.NewMemory(f.clock.Now), Clients: slices.Clone(clients), TokenTTL: 4 * time.Hour,
		Exchange: server.Exchange{Enabled: true, Anonymous: true, APITokens: &server.APITokens{Prefix: "demo"}},
		Logger:   slog.New(slog.NewTextHandler(f.log, nil)), Now: f.clock.Now,
	}
	c.Memory.Limiter = nil
	for _, change := range changes {
		change(&c)
	}
	var err error
	if f.Server, err = server.New(c); err != nil {
		t.Fatal(err)
	}
	routes, err := f.Mount(server.Paths{Token: []server.TokenPath{
		{Path: tokenPath},
		{Path: jsonPath, Dialect: tokenep.Dialect{JSON: true}},
		{Path: phrasePath, Dialect: tokenep.Dialect{
			SubjectTokenType: apiToken, SubjectTokenError: tokenep.InvalidGrant,
			Ignore: []string{"resource", "audience", "scope", "actor_token", "actor_token_type"},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for path, handler := range routes {
		mux.Handle(path, handler)
	}
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(mux)
	t.Cleanup(listener.Close)
	f.url = listener.URL
	return f
}

// limited gives a server a limiter that sees every request come from one address.
func limited(c *server.Config) {
	c.Memory.Limiter = &tokenep.Limiter{Now: c.Now}
	c.ClientAddress = func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.1") }
}

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

// do sends a request over a real connection, and follows no redirect.
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
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
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

// rule is a line of a table: what a request must get, and by which rule.
type rule struct {
	name    string
	request request
	status  int
	code    tokenep.Code // empty: a token
}

// hold sends the requests of a table.
func (f *fixture) hold(t *testing.T, rules []rule) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			if r.code == "" {
				f.granted(t, r.request)
				return
			}
			writes := f.store.writes.Load()
			refused(t, f.do(t, r.request), r.status, r.code)
			if now := f.store.writes.Load(); now != writes {
				t.Errorf("a refused request wrote %d records", now-writes)
			}
		})
	}
}

// refused holds an answer to what RFC 6749 §5.2 says of errors.
func refused(t *testing.T, a answer, status int, code tokenep.Code) {
	t.Helper()
	if a.status != status || a.json["error"] != string(code) && a.method != http.MethodHead {
		t.Fatalf("%d %s, want %d %s", a.status, a.body, status, code)
	}
	noStore(t, a)
	present := func(name string, want bool) {
		t.Helper()
		if values := a.header.Values(name); (len(values) == 1) != want || len(values) > 1 {
			t.Errorf("%s: %q with status %d; want one: %v", name, values, status, want)
		}
	}
	present("WWW-Authenticate", status == http.StatusUnauthorized && len(a.request.header["Authorization"]) > 0)
	present("Allow", status == http.StatusMethodNotAllowed)
	present("Retry-After", status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable)
	if challenge := a.header.Get("WWW-Authenticate"); challenge != "" && !strings.HasPrefix(challenge, "Basic ") {
		t.Errorf("WWW-Authenticate: %s", challenge)
	}
	for name, value := range a.json {
		text, isText := value.(string)
		if !isText || name != "error" && name != "error_description" {
			t.Errorf("the error has a member %s = %v", name, value)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
			t.Errorf("%s has characters outside RFC 6749 §5.2: %q", name, text)
		}
	}
}

// noStore holds an answer to the headers of RFC 6749 §5.1.
func noStore(t *testing.T, a answer) {
	t.Helper()
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"} {
		if got := a.header.Values(name); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %s", name, got, want)
		}
	}
}

// granted sends a request that is good, and returns what the token says to a verifier that trusts nothing but the key set.
func (f *fixture) granted(t *testing.T, r request) (answer, *verify.Token) {
	t.Helper()
	a := f.do(t, r)
	if a.status != http.StatusOK {
		t.Fatalf("%d %s, want a token", a.status, a.body)
	}
	noStore(t, a)
	if values := a.header.Values("WWW-Authenticate"); values != nil {
		t.Errorf("WWW-Authenticate: %q with status 200", values)
	}
	for name, value := range a.json {
		if value == nil || value == "" {
			t.Errorf("the answer has an empty member %s", name)
		}
	}
	if a.json["token_type"] != "Bearer" {
		t.Errorf("token_type is %v", a.json["token_type"])
	}
	raw, _ := a.json["access_token"].(string)
	token, err := f.verify(t, raw)
	if err != nil {
		t.Fatal(err)
	}
	if left := token.Expires.Sub(f.clock.Now()); a.json["expires_in"] != float64(left/time.Second) {
		t.Errorf("expires_in is %v, the token is good for %s", a.json["expires_in"], left)
	}
	if strings.Contains(f.log.String(), raw) {
		t.Error("the log shows the token")
	}
	return a, token
}

// verify asks a verifier without a cache.
func (f *fixture) verify(t *testing.T, raw string) (*verify.Token, error) {
	t.Helper()
	trusted := f.Trusted()
	trusted.InsecureAnyAudience = true
	v, err := verify.New(verify.Config{Issuers: []verify.Issuer{trusted}, Now: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(t.Context(), raw)
}

// mint signs a token as the server would, with claims that no request leads to. What is left out is that of a token of billing.
func (f *fixture) mint(t *testing.T, c tokenep.Claims) string {
	t.Helper()
	if c.Subject == "" {
		c.Subject = "alice"
	}
	if c.ClientID == "" {
		c.ClientID = "billing"
	}
	if c.Audience == nil {
		c.Audience = []string{orders}
	}
	c.IssuedAt = f.clock.Now().Truncate(time.Second)
	if c.Expires.IsZero() {
		c.Expires = c.IssuedAt.Add(time.Hour)
	}
	minted, err := (&tokenep.Issuer{URL: issuer, Keys: f.Keys, Now: f.clock.Now}).Mint(&c)
	if err != nil {
		t.Fatal(err)
	}
	return minted.Token
}

// anyToken is an API token of which nothing in particular is asked.
var anyToken state.APIToken

func first[T, U any](t T, _ U) T { return t }

// apiToken makes an API token of alice for orders, unless it is said otherwise.
func (f *fixture) apiToken(t *testing.T, want state.APIToken) (string, state.APIToken) {
	t.Helper()
	if want.Owner == "" {
		want.Owner = "alice"
	}
	if want.Service == "" {
		want.Service = orders
	}
	text, made, err := f.APITokens.Create(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	return text, made
}

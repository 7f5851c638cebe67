package upstream_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/upstream"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// front is an API behind a guard that replaces tokens, and answers with what it got.
type front struct {
	*httptest.Server
	issuer *verifytest.Issuer
	clock  *verifytest.Clock

	mu   sync.Mutex
	used []string // the ids of the credentials that requests have gone on with
}

func (f *front) use(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used = append(f.used, id)
}

type finder = func(*http.Request, *verify.Token, string) (verify.Credential, error)

func newFront(t *testing.T, credential func(now func() time.Time) (finder, error), changes ...func(*verify.TrustedIssuer)) *front {
	t.Helper()
	f := &front{issuer: verifytest.New("https://issuer.example", "https://api.example"), clock: verifytest.NewClock(time.Now())}
	f.issuer.Now = f.clock.Now
	find, err := credential(f.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	trusted := f.issuer.Trust()
	for _, change := range changes {
		change(&trusted)
	}
	verifier, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{trusted}, Now: f.clock.Now,
		Cache: verify.NewCache(100, f.clock.Now), Leeway: leeway})
	if err != nil {
		t.Fatal(err)
	}
	f.listen(t, verifier, find)
	return f
}

// leeway is that of the verifier.
const leeway = 30 * time.Second

func (f *front) listen(t *testing.T, verifier verify.TokenVerifier, find finder) {
	t.Helper()
	guard := &verify.Guard{Verifier: verifier, Replace: &verify.Replacement{In: verify.InHeader, Name: "X-Api-Key", Credential: find,
		Used: func(_ *http.Request, id string) { f.use(id) }}}
	f.Server = httptest.NewServer(guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token reached the upstream")
		}
		_, _ = io.WriteString(w, r.Header.Get("X-Api-Key"))
	})))
	t.Cleanup(f.Close)
}

// get returns what the upstream got for a token, or the status of a refusal.
func (f *front) get(t *testing.T, token string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, f.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-Api-Key", "forged")
	response, err := f.Client().Do(r)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return fmt.Sprint(response.StatusCode)
	}
	return string(body)
}

// elsewhere is a server that gives answers, and counts the requests for them.
func elsewhere(t *testing.T, answer http.HandlerFunc) (url string, asked *atomic.Int32) {
	asked = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func exchanged(o upstream.FetchedOptions) func(func() time.Time) (finder, error) {
	return func(now func() time.Time) (finder, error) {
		o.Now = now
		f, err := upstream.NewFetched(o)
		if err != nil {
			return nil, err
		}
		return f.Credential(nil), nil
	}
}

// RFC 8693 §2.1, §2.2: one exchange for all who wait for it, one for each token, and another one
// when nine tenths of the life are over.
func TestExchangeIsAskedOnce(t *testing.T) {
	url, asked := elsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		user, secret, _ := r.BasicAuth()
		if user != "gate%3Away" || secret != "s%2B" || r.PostFormValue("client_secret") != "" ||
			r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange" || r.PostFormValue("audience") != "orders" {
			t.Errorf("the request has %s %s %v", user, secret, r.PostForm)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "for-" + r.PostFormValue("subject_token")[len(r.PostFormValue("subject_token"))-20:],
			"token_type": "bearer", "expires_in": 100, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"})
	})
	f := newFront(t, exchanged(upstream.FetchedOptions{Audience: []string{"orders"},
		Exchange: upstream.Endpoint{URL: url, ClientID: "gate:way", ClientSecret: "s+"}}))
	token, other := f.issuer.Sign(nil), f.issuer.Sign(verifytest.Claims{"exp": f.clock.Now().Add(30 * time.Second).Unix()})
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if got := f.get(t, token); got != "for-"+token[len(token)-20:] {
				t.Errorf("got %q", got)
			}
		})
	}
	wait.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("%d exchanges for one token", n)
	}
	if got := f.get(t, other); got != "for-"+other[len(other)-20:] || asked.Load() != 2 {
		t.Errorf("another token got %q, after %d exchanges", got, asked.Load())
	}
	f.clock.Advance(89 * time.Second)
	f.get(t, token)
	if n := asked.Load(); n != 2 {
		t.Errorf("%d exchanges before nine tenths are over", n)
	}
	if got := f.get(t, other); got != "401" {
		t.Errorf("past its exp a token got %q", got)
	}
	f.clock.Advance(2 * time.Second)
	f.get(t, token)
	if n := asked.Load(); n != 3 {
		t.Errorf("%d exchanges after nine tenths", n)
	}
}

// RFC 6749 §5.2, RFC 8693 §2.2.1: what the answers of a server lead to.
func TestExchangeAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"token":                {200, `{"access_token":"a","token_type":"Bearer","expires_in":60}`, "a"},
		"life is not said":     {200, `{"access_token":"a","token_type":"Bearer"}`, "a"},
		"no Bearer token":      {200, `{"access_token":"a","token_type":"DPoP"}`, "502"},
		"no token":             {200, `{"token_type":"Bearer"}`, "502"},
		"token with a line":    {200, `{"access_token":"a\r\nX: 1","token_type":"Bearer"}`, "502"},
		"life in words":        {200, `{"access_token":"a","token_type":"Bearer","expires_in":"soon"}`, "502"},
		"life is over":         {200, `{"access_token":"a","token_type":"Bearer","expires_in":0}`, "502"},
		"no JSON":              {200, `<html>`, "502"},
		"redirect":             {302, `{}`, "502"},
		"invalid_grant":        {400, `{"error":"invalid_grant"}`, "403"},
		"invalid_target":       {400, `{"error":"invalid_target"}`, "403"},
		"invalid_client":       {401, `{"error":"invalid_client"}`, "502"},
		"unauthorized_client":  {400, `{"error":"unauthorized_client"}`, "502"},
		"away":                 {503, ``, "503"},
		"too many requests":    {429, ``, "503"},
		"longer than is read":  {200, `{"access_token":"` + strings.Repeat("a", 70<<10) + `"}`, "502"},
		"longer than a header": {200, `{"access_token":"` + strings.Repeat("a", 9<<10) + `","token_type":"Bearer"}`, strings.Repeat("a", 9<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			url, asked := elsewhere(t, says(c.status, c.body))
			f := newFront(t, exchanged(upstream.FetchedOptions{Exchange: upstream.Endpoint{URL: url, ClientID: "a"}}))
			token := f.issuer.Sign(nil)
			if got := f.get(t, token); got != c.want {
				t.Errorf("got %.80q, want %.80q", got, c.want)
			}
			f.get(t, token)
			if n := asked.Load(); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// An ID-JAG of one server is an access token of another
// (draft-ietf-oauth-identity-assertion-authz-grant).
func TestIDJAG(t *testing.T) {
	idp, asked := elsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("requested_token_type") != upstream.IDJAGType || r.PostFormValue("audience") != "https://as.example" {
			t.Errorf("the request has %v", r.PostForm)
		}
		_, _ = io.WriteString(w, `{"access_token":"jag","token_type":"N_A","issued_token_type":"`+upstream.IDJAGType+`","expires_in":60}`)
	})
	server, asserted := elsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || r.PostFormValue("assertion") != "jag" ||
			r.PostFormValue("client_id") != "shop" || r.PostFormValue("client_secret") != "s" {
			t.Errorf("the request has %v", r.PostForm)
		}
		_, _ = io.WriteString(w, `{"access_token":"theirs","token_type":"Bearer","expires_in":60}`)
	})
	f := newFront(t, exchanged(upstream.FetchedOptions{Audience: []string{"https://as.example"},
		Exchange: upstream.Endpoint{URL: idp, ClientID: "a"},
		Assert:   upstream.Endpoint{URL: server, ClientID: "shop", ClientSecret: "s", PostSecret: true}}))
	token := f.issuer.Sign(nil)
	for range 2 {
		if got := f.get(t, token); got != "theirs" || asked.Load() != 1 || asserted.Load() != 1 {
			t.Errorf("got %q, after %d and %d requests", got, asked.Load(), asserted.Load())
		}
	}
}

// A program that knows the credentials of people: nobody gets those of another one, and nobody who
// waits asks again.
func TestAsked(t *testing.T) {
	url, asked := elsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		var who map[string]string
		if err := json.NewDecoder(r.Body).Decode(&who); err != nil || r.Header.Get("X-Key") != "k" || who["iss"] != "https://issuer.example" {
			t.Errorf("asked by %v, %v", who, err)
		}
		switch who["sub"] {
		case "nobody":
			w.WriteHeader(http.StatusNotFound)
		case "away":
			w.WriteHeader(http.StatusInternalServerError)
		case "odd":
			_, _ = io.WriteString(w, `{"credential":7}`)
		case "line":
			_, _ = io.WriteString(w, `{"credential":"a\nb"}`)
		default:
			_, _ = io.WriteString(w, `{"credential":"key of `+who["sub"]+`"}`)
		}
	})
	f := newFront(t, func(now func() time.Time) (finder, error) {
		a, err := upstream.NewAsked(upstream.AskedOptions{URL: url, Header: http.Header{"X-Key": {"k"}}, Now: now})
		if err != nil {
			return nil, err
		}
		return a.Credential(nil), nil
	})
	var wait sync.WaitGroup
	for i := range 60 {
		who := fmt.Sprintf("p%d", i%3)
		wait.Go(func() {
			if got := f.get(t, f.issuer.Sign(verifytest.Claims{"sub": who})); got != "key of "+who {
				t.Errorf("%s got %q", who, got)
			}
		})
	}
	wait.Wait()
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times about three people", n)
	}
	for who, want := range map[string]string{"nobody": "403", "away": "503", "odd": "502", "line": "502"} {
		if got := f.get(t, f.issuer.Sign(verifytest.Claims{"sub": who})); got != want {
			t.Errorf("%s got %q, want %s", who, got, want)
		}
	}
	f.clock.Advance(61 * time.Second)
	f.get(t, f.issuer.Sign(verifytest.Claims{"sub": "p0"}))
	if n := asked.Load(); n != 8 {
		t.Errorf("asked %d times, want 8", n)
	}
}

// What nobody knows how to use is refused at load.
func TestOptions(t *testing.T) {
	endpoint := upstream.Endpoint{URL: "https://as.example/token", ClientID: "a"}
	for name, o := range map[string]interface{ Validate() error }{
		"no audience":          upstream.MintedOptions{},
		"short life":           upstream.MintedOptions{Audience: []string{"a"}, TTL: time.Second},
		"a claim of ours":      upstream.MintedOptions{Audience: []string{"a"}, Claims: []string{"ancestors"}},
		"clear text":           upstream.FetchedOptions{Exchange: upstream.Endpoint{URL: "http://as.example/token", ClientID: "a"}},
		"no client":            upstream.FetchedOptions{Exchange: upstream.Endpoint{URL: "https://as.example/token"}},
		"assert without whom":  upstream.FetchedOptions{Exchange: endpoint, Assert: endpoint},
		"too many entries":     upstream.FetchedOptions{Exchange: endpoint, Entries: upstream.MaxEntries + 1},
		"password in the URL":  upstream.AskedOptions{URL: "https://a:b@people.example/"},
		"asked in clear text":  upstream.AskedOptions{URL: "http://people.example/"},
		"remembered for ever":  upstream.AskedOptions{URL: "https://people.example/", Good: 24 * time.Hour},
		"asked without a host": upstream.AskedOptions{URL: "people"},
	} {
		if err := o.Validate(); err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package oauthverify

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/tokenep/upstream"
	"github.com/tokenep/caddy-tokenep/verify"
)

// replacements returns what each kind of authorization has in the place of a token, and where.
func replacements(b *testing.B, s *tokeneptest.Server) map[string]*verify.Replacement {
	b.Helper()
	program := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"credential":"key-of-the-person","access_token":"`+s.Mint(b, tokenep.Claims{})+`","token_type":"Bearer","expires_in":3600}`)
	}))
	b.Cleanup(program.Close)
	people := filepath.Join(b.TempDir(), "people.json")
	if err := os.WriteFile(people, []byte(`{"alice":"alice:secret"}`), 0o600); err != nil {
		b.Fatal(err)
	}
	found := func(find upstream.Finder, err error) upstream.Finder {
		if err != nil {
			b.Fatal(err)
		}
		return find
	}
	minted, err := upstream.NewMinted(upstream.MintedOptions{Minter: s.Minter(), Audience: []string{"https://internal"}, TTL: time.Hour, Form: upstream.Scheme("Bearer")})
	if err != nil {
		b.Fatal(err)
	}
	table, err := upstream.NewTable(people, upstream.Basic, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	asked, err := upstream.NewAsked(upstream.AskedOptions{URL: program.URL, Good: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	fetched, err := upstream.NewFetched(upstream.FetchedOptions{Exchange: upstream.Endpoint{URL: program.URL, ClientID: "gateway"}, Now: s.Config.Now, Form: upstream.Scheme("Bearer")})
	if err != nil {
		b.Fatal(err)
	}
	return map[string]*verify.Replacement{
		"token":    {In: verify.InHeader, Name: "Authorization", Credential: minted.Credential(nil)},
		"basic":    {In: verify.InHeader, Name: "Authorization", Credential: found(composed("", upstream.Basic, "orders", "secret"))},
		"value":    {In: verify.InHeader, Name: "X-Api-Key", Credential: found(composed("", nil, "key:{http.auth.user.id}"))},
		"file":     {In: verify.InHeader, Name: "Authorization", Credential: table.Credential},
		"ask":      {In: verify.InHeader, Name: "X-Api-Key", Credential: asked.Credential(nil)},
		"exchange": {In: verify.InHeader, Name: "Authorization", Credential: fetched.Credential(nil)},
	}
}

// BenchmarkReplaced compares a request whose token is replaced by a credential from the cache with
// one whose token is removed, in turns: of-stripped is how much longer it takes.
func BenchmarkReplaced(b *testing.B) {
	server := tokeneptest.New(b)
	cache := verify.NewCache(100, server.Config.Now)
	verifier := server.NewVerifier(b, func(c *verify.Config) { c.Cache = cache })
	authorization := []string{"Bearer " + server.Mint(b, tokenep.Claims{Scope: verify.Scope{"orders:read", "orders:write"}})}
	stripped := &verify.Guard{Verifier: verifier}
	all := replacements(b, server)
	for _, name := range []string{"token", "basic", "value", "file", "ask", "exchange"} {
		b.Run(name, func(b *testing.B) {
			replaced := &verify.Guard{Verifier: verifier, Replace: all[name]}
			r := httptest.NewRequestWithContext(b.Context(), "GET", "/orders?page=2", nil)
			r.Body = http.NoBody
			fields := []string{"Accept", "Accept-Encoding", "Accept-Language", "Cookie", "Origin", "Referer", "Sec-Fetch-Site", "Traceparent", "User-Agent", "X-Request-Id"}
			var requests [100]http.Header // each from a client, with nothing of the one before
			turn := func(g *verify.Guard) time.Duration {
				for i := range requests {
					requests[i] = http.Header{"Authorization": authorization}
					for _, field := range fields[:4+i%7] {
						requests[i].Set(field, "value")
					}
				}
				start := time.Now()
				for _, r.Header = range requests {
					if _, err := g.Admit(r); err != nil {
						b.Fatal(err)
					}
				}
				return time.Since(start) / time.Duration(len(requests))
			}
			turn(stripped)
			turn(replaced)
			var with, without []time.Duration
			for b.Loop() {
				with, without = append(with, turn(replaced)), append(without, turn(stripped))
			}
			slices.Sort(with)
			slices.Sort(without)
			replacedBy, strippedIn := float64(with[len(with)/2]), float64(without[len(without)/2])
			b.ReportMetric(replacedBy/strippedIn, "of-stripped")
			b.ReportMetric(replacedBy, "ns/replaced")
			b.ReportMetric(strippedIn, "ns/stripped")
			b.ReportMetric(0, "ns/op")
		})
	}
}

package caddymodule_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/bolt"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/store/postgres"
	"github.com/tokenep/caddy-tokenep/tokenep/store/redis"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// BenchmarkPeople compares the requests of an application that acts for people with
// client_credentials, in the same Caddy and on the same engine: an exchange of a code, a refresh of
// a client whose tokens are not rotated, and one of a client whose tokens are. Those that write are
// also compared with the engine's own Swap, by as many callers. Introspection is compared with a
// route behind oauth_verify, and so is a handler that reads the same form and answers a constant
// (bare-of-verify).
//
// No refresh can do without a Load, an access token and, if it rotates, a Swap, one after another.
// So both are compared with just that (of-steps): a caller that asks the engine for a Load, the
// server for client_credentials, and the engine for a Swap. What those steps have of the rate of
// client_credentials (refresh-floor), and of the slower of client_credentials and Swap
// (rotation-floor), is what a refresh could have if it did nothing else.
func BenchmarkPeople(b *testing.B) {
	for engine, open := range map[string]func(b *testing.B) (directive string, s store.Store, err error){
		"memory": func(*testing.B) (string, store.Store, error) {
			return "memory 1000000", memory.New(memory.Options{}), nil
		},
		"bolt": func(b *testing.B) (string, store.Store, error) {
			s, err := bolt.Open(filepath.Join(b.TempDir(), "swap.db"), bolt.Options{})
			return "bolt " + filepath.Join(b.TempDir(), "oauth.db"), s, err
		},
		"redis": func(b *testing.B) (string, store.Store, error) {
			url := servertest.For(b, servertest.Redis).URL
			s, err := redis.Open(b.Context(), url, redis.Options{Namespace: "swap"})
			b.Setenv("PEOPLE_STORE", url)
			return "redis {env.PEOPLE_STORE}", s, err
		},
		"postgres": func(b *testing.B) (string, store.Store, error) {
			url := servertest.For(b, servertest.Postgres).URL
			s, err := postgres.Open(b.Context(), url, postgres.Options{Namespace: "swap"})
			b.Setenv("PEOPLE_STORE", url)
			return "postgres {env.PEOPLE_STORE}", s, err
		},
	} {
		b.Run(engine, func(b *testing.B) {
			directive, s, err := open(b)
			if err != nil {
				b.Fatal(err)
			}
			if c, ok := s.(io.Closer); ok {
				defer c.Close()
			}
			p := runPeople(b, directive)
			records := newSwaps(b, s)
			swap := side{"swap", records, func(int) string { return "" }}
			ours := dial(b, p.address)
			credentials := side{"client_credentials", ours, func(int) string { return p.post("/oauth/token", "notes", "grant_type=client_credentials") }}
			refreshSteps := side{"steps", steps{records, ours, false}, credentials.request}
			rotationSteps := side{"steps", steps{records, ours, true}, credentials.request}
			b.Run("refresh-floor", func(b *testing.B) { compare(b, refreshSteps, credentials, "of-client-credentials") })
			b.Run("rotation-floor", func(b *testing.B) {
				b.Run("of-credentials", func(b *testing.B) { compare(b, rotationSteps, credentials, "of-client-credentials") })
				b.Run("of-swap", func(b *testing.B) { compare(b, rotationSteps, swap, "of-swap") })
			})
			b.Run("code", func(b *testing.B) {
				code := side{"code", ours, func(int) string { return p.post("/oauth/token", "notes", p.code(b, "notes")) }}
				b.Run("of-credentials", func(b *testing.B) { compare(b, code, credentials, "of-client-credentials") })
				b.Run("of-swap", func(b *testing.B) { compare(b, code, swap, "of-swap") })
			})
			b.Run("refresh", func(b *testing.B) {
				token := p.tokens(b, "notes").RefreshToken
				request := p.post("/oauth/token", "notes", "grant_type=refresh_token&refresh_token="+token)
				refresh := side{"refresh", ours, func(int) string { return request }}
				b.Run("of-credentials", func(b *testing.B) { compare(b, refresh, credentials, "of-client-credentials") })
				b.Run("of-steps", func(b *testing.B) { compare(b, refresh, refreshSteps, "of-steps") })
			})
			b.Run("rotation", func(b *testing.B) {
				rotate := func(int) string {
					return p.post("/oauth/token", "", "client_id=native&grant_type=refresh_token&refresh_token="+p.tokens(b, "native").RefreshToken)
				}
				rotation := side{"rotation", ours, rotate}
				b.Run("of-credentials", func(b *testing.B) { compare(b, rotation, credentials, "of-client-credentials") })
				b.Run("of-swap", func(b *testing.B) { compare(b, rotation, swap, "of-swap") })
				b.Run("of-steps", func(b *testing.B) { compare(b, rotation, rotationSteps, "of-steps") })
			})
			b.Run("introspection", func(b *testing.B) {
				token := p.tokens(b, "notes").AccessToken
				ask := p.post("/oauth/introspect", "notes", "token="+token)
				get := "GET /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + token + "\r\n\r\n"
				verify := side{"verify", ours, func(int) string { return get }}
				b.Run("of-verify", func(b *testing.B) {
					compare(b, side{"introspection", ours, func(int) string { return ask }}, verify, "of-verify")
				})
				b.Run("bare-of-verify", func(b *testing.B) {
					bare := strings.Replace(ask, "/oauth/introspect", "/bare", 1)
					compare(b, side{"bare", ours, func(int) string { return bare }}, verify, "bare-of-verify")
				})
			})
		})
	}
}

// swaps are records of an engine which replace each other: as large as families of refresh tokens,
// about as many as there are in the server's store, and, like those, nowhere near each other.
type swaps struct {
	store.Store
	records []store.Record
	next    int
}

func newSwaps(b *testing.B, s store.Store) *swaps {
	b.Helper()
	w := &swaps{Store: s, records: make([]store.Record, 10_000)}
	each(len(w.records), func(i int) {
		r := store.Record{Kind: "family", ID: rand.Text(), Data: make([]byte, 500), Expires: time.Now().Add(time.Hour)}
		if err := s.Insert(b.Context(), r); err != nil {
			b.Error(err)
		}
		r.Version = 1
		w.records[i] = r
	})
	return w
}

// send makes a Swap for each request, each of another record.
func (w *swaps) send(b *testing.B, requests []string) {
	first := w.take(len(requests))
	each(len(requests), func(i int) { w.swap(b, first+i) })
}

// take returns the number of the first record of the next n.
func (w *swaps) take(n int) (first int) {
	first = w.next
	w.next += n
	return first
}

func (w *swaps) swap(b *testing.B, n int) {
	r := &w.records[n%len(w.records)]
	next := *r
	next.Expires = next.Expires.Add(time.Second) // as a refresh moves the end of a family
	if err := w.Swap(b.Context(), *r, next); err != nil {
		b.Error(err)
	}
	next.Version++
	*r = next
}

// steps makes, for each request, a Load, the request and, if it is to rotate, a Swap of what was
// loaded.
type steps struct {
	*swaps
	server  connections
	rotates bool
}

func (s steps) send(b *testing.B, requests []string) {
	first := s.take(len(requests))
	each(len(requests), func(i int) {
		n := first + i
		if _, err := s.Load(b.Context(), "family", s.records[n%len(s.records)].ID); err != nil {
			b.Error(err)
		}
		if err := roundTrip(s.server[i%callers], requests[i]); err != nil {
			b.Error(err)
		}
		if s.rotates {
			s.swap(b, n)
		}
	})
}

// each calls do for each number below n, from all callers at once: i from the caller i%callers.
func each(n int, do func(i int)) {
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := caller; i < n; i += callers {
				do(i)
			}
		})
	}
	wg.Wait()
}

// people is a Caddy in front of which ada has signed in.
type people struct{ address string }

type peopleTokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

func runPeople(b *testing.B, store string) people {
	p := people{"127.0.0.1:" + mustFreePort(b)}
	text := strings.NewReplacer("$address", p.address, "$store", store).Replace(peopleCaddyfile)
	loadBench(b, text)
	return p
}

// post returns a request with a form. A client that is named authenticates by its secret, demo.
func (p people) post(path, client, form string) string {
	authorization := ""
	if client != "" {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(client, "demo")
		authorization = "Authorization: " + r.Header.Get("Authorization") + "\r\n"
	}
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%sContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		path, authorization, len(form), form)
}

// code returns the form that exchanges a code, which ada has just allowed a client.
func (p people) code(b *testing.B, client string) string {
	b.Helper()
	ask := url.Values{
		"response_type": {"code"}, "client_id": {client}, "code_challenge_method": {"S256"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"},
	}
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+p.address+"/oauth/authorize?"+ask.Encode(), nil)
	if err != nil {
		b.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	to, err := response.Location()
	if err != nil {
		b.Fatal(err)
	}
	return url.Values{
		"grant_type": {"authorization_code"}, "code": to.Query()["code"], "code_verifier": {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
	}.Encode()
}

// tokens returns what a client gets for such a code.
func (p people) tokens(b *testing.B, client string) (tokens peopleTokens) {
	b.Helper()
	form := p.code(b, client)
	if client == "native" {
		form += "&client_id=native"
	} else {
		form += "&client_id=" + client + "&client_secret=demo"
	}
	response, err := http.Post("http://"+p.address+"/oauth/token", "application/x-www-form-urlencoded", strings.NewReader(form))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(body, &tokens)
	}
	if err != nil || tokens.RefreshToken == "" {
		b.Fatalf("%s %v", body, err)
	}
	return tokens
}

const peopleCaddyfile = `{
	admin off
	persist_config off
	log {
		output discard
	}
	oauth_server {
		issuer http://$address
		store $store
		identity {http.vars.user}
		client notes {
			secret demo
			grants client_credentials authorization_code refresh_token
			redirect_uris https://notes.example/callback
			skip_consent
			scope read
			audience orders
		}
		client native {
			auth_method none
			grants authorization_code refresh_token
			redirect_uris https://native.example/callback
			skip_consent
			scope read
			audience orders
		}
	}
}
http://$address {
	vars user ada
	oauth_token
	handle /bare {
		route {
			bench_answer
		}
	}
	handle {
		oauth_verify {
			audience orders
		}
		respond orders
	}
}
`

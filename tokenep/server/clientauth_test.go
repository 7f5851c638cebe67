package server_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/verify"
)

var plain = post("grant_type", cc)

// body adds credentials to a form for client_credentials.
func body(id, secret string) request {
	return post("grant_type", cc, "client_id", id, "client_secret", secret)
}

func latin1(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteByte(byte(r))
	}
	return b.String()
}

// RFC 6749 §2.3.1 and RFC 7617: the Authorization header, as clients really write it.
func TestClientAuthBasic(t *testing.T) {
	billing := base64.StdEncoding.EncodeToString([]byte("billing:billing-secret"))
	newFixture(t).hold(t, []rule{
		{"2.3.1: form-encoded", plain.basic("odd", oddSecret), 200, ""},
		{"2.3.1: every byte escaped", plain.rawBasic("%62%69lling:%62illing%2Dsecret"), 200, ""},
		{"2.3.1: a colon and a percent in the id", plain.basic("odd:% id", "odd"), 200, ""},
		{"2.3.1: %20 for a space", plain.rawBasic("odd%3A%25%20id:odd"), 200, ""},
		{"raw UTF-8, and a secret with a colon", plain.rawBasic("odd:" + oddSecret), 200, ""},
		{"raw Latin-1", plain.rawBasic("odd:" + latin1(oddSecret)), 200, ""},
		{"9110 11.1: basic", plain.with("Authorization", "basic "+billing), 200, ""},
		{"9110 11.1: BASIC", plain.with("Authorization", "BASIC "+billing), 200, ""},
		{"9110 11.4: several spaces", plain.with("Authorization", "Basic   "+billing), 200, ""},
		{"3.2.1: client_id in the body is the same", post("grant_type", cc, "client_id", "billing").by("billing"), 200, ""},
		{"3.2.1: the same in one reading", post("grant_type", cc, "client_id", "odd:% id").basic("odd:% id", "odd"), 200, ""},
		{"an empty client_secret is none", post("grant_type", cc, "client_secret", "").by("billing"), 200, ""},

		{"3.2.1: client_id in the body is another", post("grant_type", cc, "client_id", "reports").by("billing"), 400, tokenep.InvalidRequest},
		{"2.3: client_secret in the body, even if equal", body("billing", "billing-secret").by("billing"), 400, tokenep.InvalidRequest},
		{"2.3: client_secret in the body alone", post("grant_type", cc, "client_secret", "billing-secret").by("billing"), 400, tokenep.InvalidRequest},
		{"2.3: client_assertion beside it", post("grant_type", cc, "client_assertion", "x").by("billing"), 400, tokenep.InvalidRequest},
		{"2.3: client_assertion_type beside it", post("grant_type", cc, "client_assertion_type", "x").by("billing"), 400, tokenep.InvalidRequest},
		{"9110 5.3: two headers", plain.with("Authorization", "Basic "+billing, "Basic "+billing), 400, tokenep.InvalidRequest},
		{"9110 5.3: two schemes", plain.with("Authorization", "Basic "+billing, "Bearer x"), 400, tokenep.InvalidRequest},
		{"7617 2: no colon", plain.rawBasic("billing"), 401, tokenep.InvalidClient},
		{"7617 2: not base64", plain.with("Authorization", "Basic !!"), 401, tokenep.InvalidClient},
		{"7617 2: nothing behind the scheme", plain.with("Authorization", "Basic"), 401, tokenep.InvalidClient},
		{"two in one header", plain.with("Authorization", "Basic "+billing+", Basic "+billing), 401, tokenep.InvalidClient},
		{"the empty string twice", plain.rawBasic(":"), 401, tokenep.InvalidClient},
		{"a secret and no id", plain.rawBasic(":billing-secret"), 401, tokenep.InvalidClient},
		{"wrong secret", plain.basic("billing", "x"), 401, tokenep.InvalidClient},
		{"a secret in other letters", plain.basic("billing", "Billing-secret"), 401, tokenep.InvalidClient},
		{"the beginning of the secret", plain.basic("billing", "billing-secre"), 401, tokenep.InvalidClient},
		{"more than the secret", plain.basic("billing", "billing-secret "), 401, tokenep.InvalidClient},
		{"the hash of the secret", plain.basic("billing", clients[0].Secrets[0].Hash), 401, tokenep.InvalidClient},
		{"the secret of another", plain.basic("billing", "reports-secret"), 401, tokenep.InvalidClient},
		{"unknown id", plain.basic("nobody", "x"), 401, tokenep.InvalidClient},
		{"an id of a kilobyte", plain.basic(strings.Repeat("x", 1<<10), "x"), 401, tokenep.InvalidClient},
		{"an id that is not UTF-8", plain.rawBasic("\xff%ff:%ff"), 401, tokenep.InvalidClient},
		{"the id of one reading and the secret of another", plain.rawBasic("two%20readings:x%20y"), 401, tokenep.InvalidClient},
		{"encoded twice", plain.rawBasic("odd%253A%2525%2520id:odd"), 401, tokenep.InvalidClient},
		{"confidential, with an empty password", plain.rawBasic("billing:"), 401, tokenep.InvalidClient},
		{"confidential, with an empty password and the id in the body", post("grant_type", cc, "client_id", "billing").rawBasic("billing:"), 401, tokenep.InvalidClient},
		{"empty password, and the id in one reading", post("grant_type", cc, "client_id", "app").rawBasic("a%70p:"), 400, tokenep.UnauthorizedClient},
		{"empty password, and another id in the body", post("grant_type", cc, "client_id", "billing").rawBasic("app:"), 400, tokenep.InvalidRequest},
		{"empty password, and a secret in the body", body("billing", "billing-secret").rawBasic("billing:"), 400, tokenep.InvalidRequest},
	})
}

// RFC 6749 §2.3.1 (the body), §2.1 and §3.2.1 (public clients), §5.2 (invalid_client).
func TestClientAuthBody(t *testing.T) {
	newFixture(t).hold(t, []rule{
		{"2.3.1: the body", body("billing", "billing-secret"), 200, ""},
		{"2.3.1: the body is form-encoded once", body("odd", oddSecret), 200, ""},
		{"beside a Bearer header", body("billing", "billing-secret").with("Authorization", "Bearer expired"), 200, ""},
		{"beside a header of an unknown scheme", body("billing", "billing-secret").with("Authorization", "Negotiate x"), 200, ""},
		{"beside an empty assertion", post("grant_type", cc, "client_id", "billing", "client_secret", "billing-secret", "client_assertion", ""), 200, ""},

		{"wrong secret", body("billing", "x"), 401, tokenep.InvalidClient},
		{"unknown id", body("nobody", "x"), 401, tokenep.InvalidClient},
		{"wrong secret beside a Bearer header", body("billing", "x").with("Authorization", "Bearer x"), 401, tokenep.InvalidClient},
		{"client_secret without client_id", post("grant_type", cc, "client_secret", "billing-secret"), 401, tokenep.InvalidClient},
		{"2.3: client_assertion beside it", post("grant_type", cc, "client_id", "billing", "client_secret", "billing-secret", "client_assertion", "x"), 400, tokenep.InvalidRequest},
		{"7521 4.2: an assertion, which is not built", post("grant_type", cc, "client_assertion", "x", "client_assertion_type", "x"), 401, tokenep.InvalidClient},
		{"7521 4.2: the same, of a public client", post("grant_type", cc, "client_id", "app", "client_assertion", "x"), 401, tokenep.InvalidClient},
		{"7521 4.2: half an assertion", post("grant_type", cc, "client_id", "app", "client_assertion_type", "x"), 401, tokenep.InvalidClient},
		{"5.2: no client at all", plain, 401, tokenep.InvalidClient},
		{"5.2: nothing but a Bearer header", plain.with("Authorization", "Bearer x"), 401, tokenep.InvalidClient},
		{"3.2.1: confidential, with client_id alone", post("grant_type", cc, "client_id", "billing"), 401, tokenep.InvalidClient},
		{"unknown, with client_id alone", post("grant_type", cc, "client_id", "nobody"), 401, tokenep.InvalidClient},
		{"a public client with a secret", body("app", "x"), 401, tokenep.InvalidClient},
		{"a public client with a secret in the header", plain.basic("app", "x"), 401, tokenep.InvalidClient},
		{"a public client is known by client_id", post("grant_type", "x", "client_id", "app"), 400, tokenep.UnsupportedGrantType},
		{"a public client is known by Basic with an empty password", post("grant_type", "x").rawBasic("app:"), 400, tokenep.UnsupportedGrantType},
		{"also beside client_id", post("grant_type", "x", "client_id", "app").rawBasic("app:"), 400, tokenep.UnsupportedGrantType},

		{"pinned to Basic", plain.by("headers"), 200, ""},
		{"pinned to Basic, sent in the body", body("headers", "headers-secret"), 401, tokenep.InvalidClient},
		{"pinned to the body", body("bodies", "bodies-secret"), 200, ""},
		{"pinned to the body, sent by Basic", plain.by("bodies"), 401, tokenep.InvalidClient},
	})
}

// A secret is turned over while two are good; each stops at its time.
func TestClientAuthRotation(t *testing.T) {
	f := newFixture(t)
	f.hold(t, []rule{
		{"expired at this moment", plain.basic("turning", "old-secret"), 401, tokenep.InvalidClient},
		{"the one in use", plain.basic("turning", "this-secret"), 200, ""},
		{"the next one", plain.basic("turning", "next-secret"), 200, ""},
	})
	f.clock.Advance(time.Hour - 1)
	f.hold(t, []rule{{"the last moment", plain.basic("turning", "this-secret"), 200, ""}})
	f.clock.Advance(1)
	f.hold(t, []rule{
		{"an hour later", plain.basic("turning", "this-secret"), 401, tokenep.InvalidClient},
		{"the next one stays", plain.basic("turning", "next-secret"), 200, ""},
	})
}

// RFC 6749 §10: whether an id exists is not for a stranger to know. Both answers are the same to the byte.
func TestClientAuthUnknownLooksWrong(t *testing.T) {
	f := newFixture(t)
	same := func(name string, a, b request) {
		left, right := f.do(t, a), f.do(t, b)
		left.header.Del("Date")
		right.header.Del("Date")
		if left.status != right.status || string(left.body) != string(right.body) || !reflect.DeepEqual(left.header, right.header) {
			t.Errorf("%s: %d %s %v, and %d %s %v", name, left.status, left.body, left.header, right.status, right.body, right.header)
		}
	}
	same("by Basic", plain.basic("billing", "x"), plain.basic("nobody", "x"))
	same("by body", body("billing", "x"), body("nobody", "x"))
	same("an expired secret", plain.basic("turning", "old-secret"), plain.basic("nobody", "x"))
	same("another method", plain.by("bodies"), plain.basic("nobody", "x"))
	same("a public client", body("app", "x"), body("nobody", "x"))
	same("client_id alone", post("grant_type", cc, "client_id", "billing"), post("grant_type", cc, "client_id", "nobody"))
	same("an unreadable header", plain.with("Authorization", "Basic !"), plain.basic("nobody", "x"))
}

// A failure costs as many slow comparisons whether there is such a client or not, and a secret that is right costs one in all.
func TestClientAuthSlowHash(t *testing.T) {
	var mu sync.Mutex
	var compared []string
	f := newFixture(t, func(c *server.Config) {
		c.Clients = append(c.Clients, tokenep.Client{ID: "chosen", GrantTypes: []string{cc},
			Secrets: []tokenep.Secret{{Hash: "$slow$hunter2", Expires: start.Add(time.Hour)}}})
		c.DecoyHash = []byte("$slow$decoy")
		c.CompareHash = func(hash, secret []byte) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			compared = append(compared, string(hash))
			if string(secret) == "broken" {
				return false, errors.New("broken")
			}
			return string(hash) == "$slow$"+string(secret), nil
		}
	})
	costs := func(name string, r request, want ...string) {
		t.Helper()
		compared = nil
		f.do(t, r)
		if !slices.Equal(compared, want) {
			t.Errorf("%s compares %q, want %q", name, compared, want)
		}
	}
	costs("a right secret", plain.basic("chosen", "hunter2"), "$slow$hunter2")
	costs("the same again", plain.basic("chosen", "hunter2"))
	costs("a wrong secret", plain.basic("chosen", "hunter3"), "$slow$hunter2")
	costs("a secret that reads in two ways", plain.rawBasic("chosen:a+b"), "$slow$hunter2", "$slow$hunter2")
	costs("an unknown client", plain.basic("nobody", "x"), "$slow$decoy")
	costs("an unknown client, in two readings", plain.rawBasic("nobody:a+b"), "$slow$decoy", "$slow$decoy")
	costs("an unknown client with the secret of the decoy", plain.basic("nobody", "decoy"), "$slow$decoy")
	costs("the same, which is not remembered", plain.basic("nobody", "decoy"), "$slow$decoy")
	costs("a wrong secret where a generated one is due", plain.basic("billing", "x"), "$slow$decoy")
	costs("a right generated secret", plain.by("billing"))
	f.hold(t, []rule{{"a comparison that fails is not a wrong secret", plain.basic("chosen", "broken"), 500, tokenep.ServerError}})
	f.clock.Advance(time.Hour)
	costs("an expired secret", plain.basic("chosen", "hunter2"), "$slow$decoy")
	f.hold(t, []rule{{"what was once right does not outlive its expiry", plain.basic("chosen", "hunter2"), 401, tokenep.InvalidClient}})
}

// While one client has two secrets, every failure costs as much as its own: the time does not tell which clients exist.
func TestClientAuthSlowHashRotation(t *testing.T) {
	var compared atomic.Int32
	f := newFixture(t, func(c *server.Config) {
		c.Clients = append(c.Clients, tokenep.Client{ID: "chosen2", GrantTypes: []string{cc},
			Secrets: []tokenep.Secret{{Hash: "$slow$old", Expires: start.Add(time.Hour)}, {Hash: "$slow$new"}}})
		c.DecoyHash = []byte("$slow$decoy")
		c.CompareHash = func(hash, secret []byte) (bool, error) {
			compared.Add(1)
			return string(hash) == "$slow$"+string(secret), nil
		}
	})
	for _, userPass := range []string{"x", "a+b", "a+\xff"} {
		var counts []int32
		for _, id := range []string{"chosen2", "billing", "nobody"} {
			before := compared.Load()
			f.do(t, plain.rawBasic(id+":"+userPass))
			counts = append(counts, compared.Load()-before)
		}
		if counts[0] == 0 || counts[0] != counts[1] || counts[0] != counts[2] {
			t.Errorf("secret %q: %d comparisons for a client with two secrets, %d for one with a generated secret, %d for none", userPass, counts[0], counts[1], counts[2])
		}
	}
	f.hold(t, []rule{
		{"the old one", plain.basic("chosen2", "old"), 200, ""},
		{"the new one", plain.basic("chosen2", "new"), 200, ""},
	})
}

// Clients made at run time authenticate beside the configured ones, until they are removed, and their tokens die with them.
func TestClientAuthStored(t *testing.T) {
	f := newFixture(t)
	secret, err := f.Clients.Add(t.Context(), tokenep.Client{ID: "made", GrantTypes: []string{cc}, Scope: verify.Scope{"a"}, AccessTokenTTL: tokenep.Duration(1000 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	f.hold(t, []rule{
		{"Basic", plain.basic("made", secret), 200, ""},
		{"the body", body("made", secret), 200, ""},
		{"a wrong secret", plain.basic("made", "x"), 401, tokenep.InvalidClient},
		{"no secret", plain.rawBasic("made:"), 401, tokenep.InvalidClient},
	})
	a, token := f.granted(t, plain.basic("made", secret))
	if life := token.Expires.Sub(token.IssuedAt); life != 4*time.Hour {
		t.Errorf("a token lives %s; keys and revocations are kept for 4 h", life)
	}
	if err := f.Clients.Remove(t.Context(), "made"); err != nil {
		t.Fatal(err)
	}
	f.hold(t, []rule{{"removed", plain.basic("made", secret), 401, tokenep.InvalidClient}})
	if _, err := f.verify(t, a.json["access_token"].(string)); err == nil {
		t.Error("the token of a client that was removed is good")
	}
}

// RFC 6749 §10.10: guessing gets slower and then stops. It starts again by itself, and whoever guessed right meanwhile is told nothing either.
func TestClientAuthLimit(t *testing.T) {
	f := newFixture(t, limited)
	wrong := plain.basic("billing", "x")
	for range 10 {
		refused(t, f.do(t, wrong), 401, tokenep.InvalidClient)
	}
	f.granted(t, plain.by("billing")) // ten failures cost nothing
	limiter := f.Config.Memory.Limiter
	for range 12 {
		_ = limiter.Failed(netip.MustParseAddr("192.0.2.1"), "billing")
	}
	for name, r := range map[string]request{
		"a wrong secret": wrong, "a right secret": plain.by("billing"), "the body": body("reports", "reports-secret"), "revocation": post("token", "x").by("billing").at(revokePath),
	} {
		a := f.do(t, r)
		refused(t, a, http.StatusTooManyRequests, tokenep.TemporarilyUnavailable)
		if a.header.Get("Retry-After") != "20" {
			t.Errorf("%s: Retry-After: %s", name, a.header.Get("Retry-After"))
		}
	}
	f.granted(t, post("grant_type", exchange, "subject_token", first(f.apiToken(t, anyToken)), "subject_token_type", apiToken)) // has no client to guess
	f.clock.Advance(4500 * time.Millisecond)
	if a := f.do(t, wrong); a.header.Get("Retry-After") != "16" {
		t.Errorf("Retry-After of 15.5 s: %s", a.header.Get("Retry-After"))
	}
	f.clock.Advance(110 * time.Second) // eleven are forgotten
	f.granted(t, plain.by("billing"))
}

// A library that tries Basic first and then the body fails once each time (x/oauth2, AutoDetect). That locks nobody out, at whatever rate.
func TestClientAuthLimitProbe(t *testing.T) {
	f := newFixture(t, limited)
	for range 50 {
		refused(t, f.do(t, plain.by("bodies")), 401, tokenep.InvalidClient)
		f.granted(t, body("bodies", "bodies-secret"))
	}
	// The success of one client does not pay for guesses at another.
	limiter := f.Config.Memory.Limiter
	address := netip.MustParseAddr("192.0.2.1")
	for range 22 {
		_ = limiter.Failed(address, "billing")
		_ = limiter.Succeeded(address, "reports")
	}
	refused(t, f.do(t, plain.by("reports")), 429, tokenep.TemporarilyUnavailable)
}

// The wait grows from nothing at ten failures to two seconds at twenty, and ends with the request. It is measured by the clock of a bubble.
func TestClientAuthSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &tokenep.Limiter{Now: time.Now}
		address := netip.MustParseAddr("2001:db8::1")
		for n, want := range map[int]time.Duration{10: 0, 11: 200 * time.Millisecond, 15: time.Second, 20: 2 * time.Second} {
			*l = tokenep.Limiter{Now: time.Now}
			for range n {
				l.Failed(address, "x")
			}
			before := time.Now()
			if err := l.Allow(t.Context(), netip.MustParseAddr("2001:db8::ffff")); err != nil {
				t.Errorf("%d failures: %v", n, err)
			}
			if waited := time.Since(before); waited.Round(time.Millisecond) != want {
				t.Errorf("after %d failures in the same /64 a request waits %s, want %s", n, waited, want)
			}
			before = time.Now()
			if err := l.Allow(t.Context(), netip.MustParseAddr("2001:db8:0:1::1")); err != nil || time.Since(before) != 0 {
				t.Errorf("another network waits %s, %v", time.Since(before), err)
			}
		}
	})
}

// An IPv4 address counts for itself, however it is written.
func TestClientAuthLimitAddresses(t *testing.T) {
	now := start
	l := &tokenep.Limiter{Now: func() time.Time { return now }}
	for range 30 {
		l.Failed(netip.MustParseAddr("::ffff:192.0.2.1"), "x")
	}
	for address, want := range map[string]bool{"192.0.2.1": false, "::ffff:192.0.2.1": false, "192.0.2.2": true} {
		if err := l.Allow(t.Context(), netip.MustParseAddr(address)); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
	now = now.Add(300 * time.Second)
	if err := l.Allow(t.Context(), netip.MustParseAddr("192.0.2.1")); err != nil {
		t.Errorf("after five minutes: %v", err)
	}
	var none *tokenep.Limiter
	none.Failed(netip.Addr{}, "x")
	if err := none.Allow(t.Context(), netip.Addr{}); err != nil {
		t.Errorf("no limiter: %v", err)
	}
}

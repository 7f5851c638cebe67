package subject_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// draft-ietf-oauth-identity-assertion-authz-grant: a trial has the answer of the grant.
func TestTrialOfIDJAG(t *testing.T) {
	idp := verifytest.New("https://idp.acme.example", tokeneptest.Issuer, "ES256")
	f := tokeneptest.New(t, assistants, enterprise(t, idp, subject.IDJAG{}))
	for _, tc := range []struct {
		name   string
		token  string
		client string
		good   bool
	}{
		{"good", jag(idp, nil), "assistant", true},
		{"of another client", jag(idp, nil), "desktop", false},
		{"of a client without the grant", jag(idp, nil), "billing", false},
		{"for nothing of the scope", jag(idp, verifytest.Claims{"scope": "admin"}), "assistant", false},
		{"bound to a key", jag(idp, verifytest.Claims{"cnf": map[string]any{"jkt": "x"}}), "assistant", false},
		{"of nine actors", jag(idp, verifytest.Claims{"act": actorsDeep(9)}), "assistant", false},
		{"of eight actors", jag(idp, verifytest.Claims{"act": actorsDeep(8)}), "assistant", true},
		{"for another resource", jag(idp, verifytest.Claims{"resource": "https://elsewhere.example"}), "assistant", false},
		{"for no resource", jag(idp, verifytest.Claims{"resource": nil}), "assistant", false},
		{"of another typ", jag(idp, nil, verifytest.Header("typ", "JWT")), "assistant", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			trials, err := f.TryPolicies(t.Context(), grant.JWTBearerType, tc.client, tc.token, "")
			if err != nil && !errors.Is(err, server.ErrNoGrant) {
				t.Fatal(err)
			}
			var admitted []*subject.Trial
			for _, trial := range trials {
				if trial.Decides() != nil {
					admitted = append(admitted, trial)
				}
			}
			if good := len(admitted) == 1; good != tc.good {
				t.Fatalf("admitted by %d of %d sources, want %t", len(admitted), len(trials), tc.good)
			}
			if status := f.Send(t, assert(tc.token).By(tc.client)).Status; (status == http.StatusOK) != tc.good {
				t.Errorf("the grant answers %d, and the trial says %t", status, tc.good)
			}
			if !tc.good {
				return
			}
			a := admitted[0].Decisions[0].Authorization
			if a.Scope.String() != "orders:read" || !slices.Equal(a.Audience, []string{tokeneptest.Orders}) {
				t.Errorf("scope %q for %q: want no more than the assertion names", a.Scope, a.Audience)
			}
		})
	}
}

// actorsDeep is an act of n actors (RFC 8693 §4.1).
func actorsDeep(n int) map[string]any {
	act := map[string]any{"sub": "bot"}
	for range n - 1 {
		act = map[string]any{"sub": "bot", "act": act}
	}
	return act
}

// RFC 8693 §2.2.2: a trial of a subject token says what a request would get, and why it would get
// nothing.
func TestTrialIsAsARequest(t *testing.T) {
	github := ci()
	for _, tc := range []struct {
		name   string
		change func(*subject.Policy)
		claims verifytest.Claims
		before func(t *testing.T, f *tokeneptest.Server, token string)
		good   bool
		scope  string
	}{
		{name: "good", good: true, scope: "orders:write orders:read"},
		{name: "the client has less scope", change: func(p *subject.Policy) { p.Scope = append(p.Scope, "media:read") }, good: true, scope: "orders:write orders:read"},
		{name: "another audience", change: func(p *subject.Policy) { p.Audience = []string{"https://elsewhere.example"} }},
		{name: "bound to a key", claims: verifytest.Claims{"cnf": map[string]any{"jkt": "x"}}},
		{name: "nothing of the scope claim", change: func(p *subject.Policy) { p.ScopeClaim = "scp" }, claims: verifytest.Claims{"scp": "nope"}},
		{name: "used", change: func(p *subject.Policy) { p.Once = true }, before: func(t *testing.T, f *tokeneptest.Server, token string) {
			f.Granted(t, tokeneptest.Exchange(token, grant.JWTType).By("billing"))
		}},
		{name: "disabled", before: func(t *testing.T, f *tokeneptest.Server, _ string) {
			if err := f.DisableUser(t.Context(), "github:acme/shop"); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := deploy(t)
			if tc.change != nil {
				tc.change(&p)
			}
			f := tokeneptest.New(t, trusts(github, p), tokeneptest.NewPeople("ada").SignIn)
			token := github.Sign(job(tc.claims))
			if tc.before != nil {
				tc.before(t, f, token)
			}
			trials, err := f.TryPolicies(t.Context(), exchange, "billing", token, "")
			if err != nil || len(trials) != 1 || (trials[0].Decides() != nil) != tc.good {
				t.Fatalf("%d trials, %v: want a token %t", len(trials), err, tc.good)
			}
			a := f.Send(t, tokeneptest.Exchange(token, grant.JWTType).By("billing"))
			if (a.Status == http.StatusOK) != tc.good || tc.good && (a.JSON["scope"] != tc.scope || trials[0].Decisions[0].Authorization.Scope.String() != tc.scope) {
				t.Errorf("a request gets %d %s", a.Status, a.Body)
			}
		})
	}
}

// RFC 8693 §2.1: a trial shows a token to those alone who would see it if it were sent.
func TestTrialAsksWhoWouldBeAsked(t *testing.T) {
	const otherType = "urn:example:token-type:key"
	sessions := newApplication(t, says(http.StatusOK, `{"user":{"id":"ada"}}`))
	keys := newApplication(t, says(http.StatusUnauthorized, ""))
	idp := verifytest.New("https://idp.example", tokeneptest.Issuer, "ES256")
	other := person(t)
	other.Name = "keys"
	f := tokeneptest.New(t,
		asks(t, subject.HTTPCheckOptions{URL: sessions.url, Claims: bySub}, person(t)),
		asks(t, subject.HTTPCheckOptions{URL: keys.url, Claims: bySub}, other),
		func(c *server.Config) { c.Subjects[len(c.Subjects)-1].Types = []string{otherType} },
		trusts(idp, deploy(t)))
	own := f.Issued(t, post("grant_type", "client_credentials").By("billing"))
	key, _, err := f.APITokens.Create(t.Context(), state.APIToken{Owner: "ada", Service: tokeneptest.Orders})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, token, tokenType string
		sessions, keys         int64 // how often each is asked
		err                    error
	}{
		{"of one type", "t1", sessionType, 1, 0, nil},
		{"of the other", "t2", otherType, 0, 1, nil},
		{"of any", "t3", "", 0, 0, server.ErrTokenType},
		{"a JWT of an issuer", idp.Sign(nil), "", 0, 0, nil},
		{"a JWT of an issuer, as a session", idp.Sign(nil), sessionType, 1, 0, nil},
		{"an API token", key, sessionType, 0, 0, nil},
		{"an access token of this server", own, sessionType, 0, 0, server.ErrOwnToken},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := [2]int64{sessions.asked.Load(), keys.asked.Load()}
			if _, err := f.TryPolicies(t.Context(), exchange, "billing", tc.token, tc.tokenType); !errors.Is(err, tc.err) {
				t.Errorf("%v, want %v", err, tc.err)
			}
			if s, k := sessions.asked.Load()-before[0], keys.asked.Load()-before[1]; s != tc.sessions || k != tc.keys {
				t.Errorf("asked %d and %d times, want %d and %d", s, k, tc.sessions, tc.keys)
			}
		})
	}
}

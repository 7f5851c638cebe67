package subject_test

import (
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// All that a policy gave until now is revoked by its grant_id, and what came of that. The policy
// goes on.
func TestRevokePolicy(t *testing.T) {
	github := ci()
	f := tokeneptest.New(t, trusts(github, deploy(t)))
	ask := func() request { return tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType).By("billing") }
	given := f.Issued(t, ask())
	child := f.Issued(t, swap(given).By("billing"))
	f.Clock.Advance(time.Second)
	if err := f.RevokeGrant(t.Context(), "policy:deploy"); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"what it gave": given, "what that was exchanged for": child} {
		if _, err := f.Verify(t, token); err == nil {
			t.Errorf("%s is still good", name)
		}
	}
	f.Clock.Advance(time.Second)
	f.Granted(t, ask())
}

// RFC 7009 §2.2.1: whoever revokes many tokens revokes these alone, and what came of them. When the
// log has no room for more of them, the others of the same subject are those of other holders, and
// stay good; so does the token, and the holder is told.
func TestRevokingManyTokensOfAPolicy(t *testing.T) {
	github := ci()
	p := deploy(t)
	p.When, p.Clients, p.TTL, p.AllowPublic = nil, []string{subject.NoClient, subject.AnyClient}, time.Hour, true
	app := tokenep.Client{ID: "sdk", GrantTypes: []string{exchange}, AuthMethod: tokenep.AuthNone, Audience: []string{tokeneptest.Orders}}
	for name, as := range map[string][]string{"without a client": nil, "by a public client": {"client_id", "sdk"}} {
		t.Run(name, func(t *testing.T) {
			f := tokeneptest.New(t, trusts(github, p), tokeneptest.WithClients(app))
			ask := func() string {
				return f.Send(t, tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType, as...)).AccessToken()
			}
			revoke := func(token string) tokeneptest.Answer {
				return f.Send(t, tokeneptest.Post(append([]string{"token", token}, as...)...).At(tokeneptest.RevokePath))
			}
			old := ask()
			f.Clock.Advance(time.Second)
			first, n := ask(), 0
			token, a := first, revoke(first)
			for ; a.Status == 200 && n < 2100; n++ {
				if n%100 == 0 {
					f.Clock.Advance(time.Second)
				}
				token = ask()
				a = revoke(token)
			}
			a.Refused(t, 503, tokenep.TemporarilyUnavailable)
			if n < 1900 || a.Header.Get("Retry-After") == "" {
				t.Errorf("no room after %d: %v", n, a.Header)
			}
			if _, err := f.Verify(t, old); err != nil {
				t.Errorf("the token of another holder: %v", err)
			}
			if _, err := f.Verify(t, token); err != nil {
				t.Errorf("a token whose revocation was refused: %v", err)
			}
			if _, err := f.Verify(t, first); err == nil {
				t.Error("the first one that was revoked is good")
			}
			f.Clock.Advance(3 * time.Hour)
			if a := revoke(ask()); a.Status != 200 {
				t.Errorf("when they have expired: %d %s", a.Status, a.Body)
			}
		})
	}
}

// The directory of people need not know whom a policy vouches for. Who is disabled is refused.
func TestPolicyVouchesForItsSubject(t *testing.T) {
	github := ci()
	people := tokeneptest.NewPeople("ada")
	f := tokeneptest.New(t, people.SignIn, trusts(github, deploy(t)))
	ask := tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType).By("billing")
	given := f.Issued(t, ask)
	f.Granted(t, swap(given).By("billing"))
	if err := f.DisableUser(t.Context(), "github:acme/shop"); err != nil {
		t.Fatal(err)
	}
	f.Send(t, ask).Refused(t, 400, tokenep.InvalidRequest)
	f.Send(t, swap(given).By("billing")).Refused(t, 400, tokenep.InvalidRequest)
}

// Renewing would outlive the condition of the policy, which is not asked again: what a policy gave
// is narrowed at most, wherever it is sent (RFC 8693 §2.1).
func TestTokensOfAPolicyAreNotRenewed(t *testing.T) {
	github := ci()
	f := tokeneptest.New(t, tokeneptest.Renewing, trusts(github, deploy(t)))
	ask := tokeneptest.Exchange(github.Sign(job(nil)), grant.JWTType).By("billing")
	_, given := f.Granted(t, ask)
	token := f.Issued(t, ask)
	f.Clock.Advance(time.Minute)
	_, again := f.Granted(t, swap(token).At(tokeneptest.IcebergPath).By("billing"))
	if again.Expires.After(given.Expires) || again.ID == given.ID {
		t.Errorf("it is good until %s, want %s at most, as a token of its own", again.Expires, given.Expires)
	}
	f.Clock.Advance(given.Expires.Sub(f.Clock.Now()))
	f.Send(t, swap(token).At(tokeneptest.IcebergPath).By("billing")).Refused(t, 400, tokenep.InvalidRequest)
}

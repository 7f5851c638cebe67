package subject_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
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

// Whoever revokes many tokens revokes older ones of the same subject too, when the log has no room
// for more of them. Those of other subjects are not theirs, though the policy is the same.
func TestRevokingManyTokensOfAPolicy(t *testing.T) {
	github := ci()
	p := deploy(t)
	p.When, p.Clients = nil, []string{subject.NoClient}
	f := tokeneptest.New(t, trusts(github, p))
	ask := func(repository string) string {
		return f.Issued(t, tokeneptest.Exchange(github.Sign(job(verifytest.Claims{"repository": repository, "jti": fmt.Sprint(repository, f.Clock.Now())})), grant.JWTType))
	}
	other, old := ask("acme/other"), ask("acme/shop")
	for range 205 {
		f.Clock.Advance(time.Second)
		f.Send(t, tokeneptest.Post("token", ask("acme/shop")).At(tokeneptest.RevokePath))
	}
	if _, err := f.Verify(t, old); err == nil {
		t.Error("an older token of the same subject is still good: the log grows without a bound")
	}
	if _, err := f.Verify(t, other); err != nil {
		t.Errorf("the token of another subject was revoked: %v", err)
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

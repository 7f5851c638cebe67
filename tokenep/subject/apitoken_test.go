package subject_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// An API token that is mistyped, unknown, expired or revoked is refused by the code of the RFC or
// that of the dialect. All such answers are the same.
func TestExchangeAPIToken(t *testing.T) {
	f := tokeneptest.New(t)
	good, _ := f.NewAPIToken(t, anyToken)
	soon, _ := f.NewAPIToken(t, state.APIToken{Expires: tokeneptest.Start.Add(time.Minute)})
	revoked, made := f.NewAPIToken(t, anyToken)
	if err := f.APITokens.Revoke(t.Context(), made.ID, ""); err != nil {
		t.Fatal(err)
	}
	f.Clock.Advance(time.Minute)
	bare := func(token string, pairs ...string) request {
		return post(append([]string{"grant_type", exchange, "subject_token", token}, pairs...)...).At(phrasePath)
	}
	answers := map[string]bool{}
	for name, token := range map[string]string{
		"mistyped": strings.Replace(good, "demo_", "demq_", 1), "cut off": good[:len(good)-1], "longer": good + "x", "in other letters": strings.ToUpper(good),
		"expired": soon, "revoked": revoked, "of another kind": f.Mint(t, tokenep.Claims{}), "junk": "x",
	} {
		t.Run(name, func(t *testing.T) {
			writes := f.Store.Writes()
			a := f.Send(t, redeem(token))
			a.Refused(t, 400, tokenep.InvalidRequest)
			answers[string(a.Body)] = true
			f.Send(t, bare(token)).Refused(t, 400, tokenep.InvalidGrant)
			if now := f.Store.Writes(); now != writes {
				t.Errorf("%d records were written", now-writes)
			}
		})
	}
	if len(answers) != 1 {
		t.Errorf("the answers differ: %q", slices.Collect(maps.Keys(answers)))
	}
	f.Run(t, []rule{
		grants("subject_token_type has a default", bare(good)),
		grants("what the dialect ignores means nothing, even twice", bare(good, "scope", `"`, "scope", "x", "resource", "#", "audience", "x", "actor_token", "x", "actor_token_type", "")),
		refuses("requested_token_type still means something", bare(good, "requested_token_type", "x"), 400, tokenep.InvalidRequest),
		refuses("a missing subject_token is no bad one", post("grant_type", exchange).At(phrasePath), 400, tokenep.InvalidRequest),
		refuses("a type that is not taken is no bad token", bare(good, "subject_token_type", "x"), 400, tokenep.InvalidRequest),
		refuses("an access token wants a client here too", bare(good, "subject_token_type", accessToken), 401, tokenep.InvalidClient),
		grants("another grant at the same path", plain.By("billing").At(phrasePath)),
	})
	a, _ := f.Granted(t, bare(good, "scope", "orders:read"))
	if got := a.Members(); !slices.Equal(got, []string{"access_token", "expires_in", "issued_token_type", "token_type"}) {
		t.Errorf("members: %q", got)
	}
}

package state_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// away makes these verbs fail as if the engine were away; all of them, if none is named.
func away(verbs ...string) func(storetest.Call) storetest.Fault {
	return func(call storetest.Call) storetest.Fault {
		if len(verbs) == 0 || slices.Contains(verbs, call.Verb) {
			return storetest.Away
		}
		return storetest.None
	}
}

// none makes every verb a failure of the test, but for those that are named.
func none(t *testing.T, but ...string) func(storetest.Call) storetest.Fault {
	return func(call storetest.Call) storetest.Fault {
		if !slices.Contains(but, call.Verb) {
			t.Errorf("the store was asked for %+v", call)
		}
		return storetest.None
	}
}

// newAPITokens returns API tokens with a maximum of three, and the set of access tokens that they
// have revoked.
func newAPITokens(s store.Store, c *clock) (state.APITokens, *verify.Revocations) {
	set := new(verify.Revocations)
	return state.APITokens{
		Store: s, Revocations: state.NewRevocations(s, set, c.Now, slog.New(slog.DiscardHandler)),
		Prefix: "demo", MaxPerUser: 3, MaxAge: 730 * 24 * time.Hour, TokenLife: always(4 * time.Hour), Now: c.Now,
		Rates: verify.NewRates(c.Now), Uses: new(state.APITokenUses), Imports: new(state.APITokenImports),
	}, set
}

func accessToken(grantID string) *verify.Token {
	return &verify.Token{ID: "j", Subject: "ann", ClientID: "c", GrantID: grantID}
}

package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Of the limits that a token has, the event names the one that it was held to.
func TestDeniedUseNamesTheLimit(t *testing.T) {
	var told []state.APITokenEvent
	f := tokeneptest.New(t, func(c *server.Config) {
		c.APITokenEvent = func(_ context.Context, e state.APITokenEvent) { told = append(told, e) }
	})
	from := netip.MustParseAddr("192.0.2.1")
	guard := &verify.Guard{Verifier: f.NewVerifier(t), Rates: f.Config.Memory.Rates}
	anywhere := verify.Limit{ID: "first"}
	office := verify.Limit{ID: "office", Addresses: verify.Addresses{AllowFrom: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}}
	once := verify.Limit{ID: "once", Rate: verify.Rate{N: 1, Per: time.Hour}}
	for _, limits := range [][]verify.Limit{{anywhere, office}, {anywhere, once}} {
		token := f.Mint(t, tokenep.Claims{Limits: limits})
		for range 2 {
			r := httptest.NewRequest(http.MethodGet, "/orders", nil)
			r.RemoteAddr = "192.0.2.1:1234"
			r.Header.Set("Authorization", "Bearer "+token)
			_, err := guard.Admit(r)
			if refusal, ok := errors.AsType[*verify.Error](err); ok {
				f.DeniedUse(t.Context(), refusal, from)
			}
		}
	}
	if len(told) != 2 || told[0].Token.ID != "office" || told[0].What != state.APITokenDenied || told[1].Token.ID != "once" || told[1].What != state.APITokenLimited {
		t.Errorf("told of %+v", told)
	}
}

package tokeneptest_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// coupon is a grant that a third party might write: a code that is printed in a magazine stands for
// a reader.
type coupon struct{ readers map[string]string }

func (coupon) Type() string                    { return "urn:example:coupon" }
func (coupon) Parameters() []string            { return []string{"code"} }
func (coupon) Anonymous(*tokenep.Request) bool { return false }
func (coupon) RefusalWrites() tokenep.Effects  { return 0 }

func (c coupon) Authorize(_ context.Context, r *tokenep.Request) (*tokenep.Authorization, error) {
	code, err := r.Form.Require("code", "code is missing")
	if err != nil {
		return nil, err
	}
	reader, known := c.readers[code]
	if !known {
		return nil, tokenep.InvalidGrant.Describe("the coupon is not known")
	}
	return &tokenep.Authorization{Subject: reader}, nil
}

// How a grant is tested: it is added to a server together with a client that may use it, and a
// table says what each request must get.
func TestCoupon(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithGrant(coupon{map[string]string{"1234": "alice"}}),
		tokeneptest.WithClients(tokeneptest.NewClient("shop", "coupon")))
	show := func(pairs ...string) tokeneptest.Request {
		return tokeneptest.Post(append([]string{"grant_type", "urn:example:coupon"}, pairs...)...)
	}
	s.Run(t, []tokeneptest.Rule{
		tokeneptest.Grants("a coupon", show("code", "1234").By("shop")),
		tokeneptest.Refuses("no code", show().By("shop"), 400, tokenep.InvalidRequest),
		tokeneptest.Refuses("an unknown code", show("code", "x").By("shop"), 400, tokenep.InvalidGrant),
		tokeneptest.Refuses("no client", show("code", "1234"), 401, tokenep.InvalidClient),
		tokeneptest.Refuses("a client without the grant", show("code", "1234").By("billing"), 400, tokenep.UnauthorizedClient),
	})
	if _, token := s.Granted(t, show("code", "1234").By("shop")); token.Subject != "alice" || token.ClientID != "shop" {
		t.Errorf("the token is about %s and was issued to %s", token.Subject, token.ClientID)
	}
}

// How an endpoint is tested: the same, with Send in the place of Run.
func TestEndpoint(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithEndpoint(tokenep.Endpoint{
		Name: "whoami", Path: "/oauth/whoami", Methods: []string{http.MethodPost}, Callers: tokenep.ConfidentialClients,
		Call: func(_ context.Context, r *tokenep.Request) (any, error) {
			return map[string]string{"client_id": r.Client.ID}, nil
		},
	}))
	ask := tokeneptest.Post().At("/oauth/whoami")
	if a := s.Send(t, ask.By("billing")); a.Status != http.StatusOK || a.JSON["client_id"] != "billing" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	s.Send(t, ask).Refused(t, http.StatusUnauthorized, tokenep.InvalidClient)
	s.Send(t, ask.Basic("billing", "wrong")).Refused(t, http.StatusUnauthorized, tokenep.InvalidClient)
}

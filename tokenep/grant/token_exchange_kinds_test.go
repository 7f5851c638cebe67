package grant_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// jwtOf is a kind of subject token from another issuer: it knows tokens by their prefix.
type jwtOf struct {
	prefix string
	spent  *[]string
}

func (jwtOf) Types() []string { return []string{grant.JWTType, "urn:example:token-type:ticket"} }

func (k jwtOf) Validate(_ context.Context, _ *tokenep.Request, token string) (*tokenep.Authorization, error) {
	name, mine := strings.CutPrefix(token, k.prefix)
	switch {
	case !mine:
		return nil, fmt.Errorf("not of %s: %w", k.prefix, tokenep.ErrOtherKind)
	case name == "bad":
		return nil, tokenep.InvalidRequest.Describe("the subject or actor token is not valid").Because(errors.New("it has expired"))
	case name == "away":
		return nil, store.ErrUnavailable
	}
	return &tokenep.Authorization{Subject: k.prefix + name, Spend: func(context.Context) (none tokenep.RefreshToken, err error) {
		*k.spent = append(*k.spent, token)
		return none, nil
	}}, nil
}

// RFC 8693 §3: several kinds of token may share a type identifier. Each token is validated by the
// kind that knows it; a token of no kind is refused like a bad one (§2.2.2).
func TestExchangeKindsShareAType(t *testing.T) {
	var spent []string
	kinds := func(s *server.Server) (tokenep.Grant, error) {
		return grant.TokenExchange{Subjects: []tokenep.SubjectTokens{
			subject.Own{Verifier: s.Verifier}, jwtOf{"red:", &spent}, jwtOf{"blue:", &spent},
		}}, nil
	}
	f := tokeneptest.New(t, func(c *server.Config) {
		c.Exchange = server.Exchange{}
		c.Grants = append(c.Grants, kinds)
		c.Clients[0].Audience = nil
	}, tokeneptest.AnyActor)
	asJWT := func(token string, pairs ...string) request {
		return tokeneptest.Exchange(token, grant.JWTType, pairs...).By("billing")
	}
	own := f.Mint(t, tokenep.Claims{Audience: []string{issuer}})
	for token, want := range map[string]string{own: "alice", "red:carol": "red:carol", "blue:carol": "blue:carol"} {
		if _, got := f.Granted(t, asJWT(token)); got.Subject != want {
			t.Errorf("the token of %s becomes one of %s", want, got.Subject)
		}
	}
	if !slices.Equal(slices.Sorted(slices.Values(spent)), []string{"blue:carol", "red:carol"}) {
		t.Errorf("spent %q", spent)
	}
	spent = nil
	f.Granted(t, asJWT("red:carol", "actor_token", "blue:dave", "actor_token_type", grant.JWTType))
	if !slices.Equal(spent, []string{"red:carol", "blue:dave"}) {
		t.Errorf("spent %q, want the subject and then the actor", spent)
	}
	spent = nil
	f.Run(t, []rule{
		grants("a type that only two of them share", tokeneptest.Exchange("blue:carol", "urn:example:token-type:ticket").By("billing")),
		refuses("of no kind", asJWT("green:carol"), 400, tokenep.InvalidRequest),
		refuses("the first kind refuses", asJWT("red:bad"), 400, tokenep.InvalidRequest),
		refuses("the last kind refuses", asJWT("blue:bad"), 400, tokenep.InvalidRequest),
		refuses("our own, changed", asJWT(own[:len(own)-3]+"xxx"), 400, tokenep.InvalidRequest),
		refuses("an actor of no kind", asJWT("red:carol", "actor_token", "green:dave", "actor_token_type", grant.JWTType), 400, tokenep.InvalidRequest),
		refuses("a type that one of them has, and a token of another", tokeneptest.Exchange("red:carol", grant.AccessTokenType).By("billing"), 400, tokenep.InvalidRequest),
		refuses("a kind that cannot tell", asJWT("blue:away"), 503, tokenep.TemporarilyUnavailable),
		refuses("a scope that is not the token's", asJWT("red:carol", "scope", "orders:read"), 400, tokenep.InvalidScope),
	})
	if !slices.Equal(spent, []string{"blue:carol"}) {
		t.Errorf("a refused request spent: %q", spent)
	}
	bodies := map[string][]string{}
	for _, token := range []string{"green:carol", "red:bad", "blue:bad", "x", own[:len(own)-3] + "xxx"} {
		body := string(f.Send(t, asJWT(token)).Body)
		bodies[body] = append(bodies[body], token)
	}
	if len(bodies) != 1 {
		t.Errorf("the answers tell why a token is bad: %q", bodies)
	}
}

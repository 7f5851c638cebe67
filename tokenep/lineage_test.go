package tokenep_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// tokenTree is the tokens of one lineage:
//
//	API token of alice ─▶ root ─▶ child ─▶ grandchild
//	API token of bob ─▶ actor ──┘  (acts in child and grandchild)
//
// Each is issued some seconds after the one before. child was issued to the client relay, and
// grandchild to the client hub; both clients were made at run time.
type tokenTree struct {
	*tokeneptest.Server
	alice, bob                     state.APIToken // made for root and actor
	root, actor, child, grandchild string
}

func newTokenTree(t *testing.T) *tokenTree {
	f := &tokenTree{Server: tokeneptest.New(t)}
	secret := map[string]string{}
	for _, id := range []string{"relay", "hub"} {
		c := tokeneptest.NewClient(id, grant.TokenExchangeType)
		c.Secrets, c.ExchangeFrom, c.Audience = nil, []string{"*"}, []string{orders}
		c.ActorFrom, c.MayActFor = []string{"iss=" + issuer}, []string{"sub=alice"}
		var err error
		if secret[id], err = f.Clients.Add(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	get := func(r request) string {
		t.Helper()
		f.Clock.Advance(3 * time.Second)
		a, _ := f.Granted(t, r)
		return a.AccessToken()
	}
	var text string
	text, f.alice = f.NewAPIToken(t, state.APIToken{})
	f.root = get(redeem(text))
	text, f.bob = f.NewAPIToken(t, state.APIToken{Owner: "bob"})
	f.actor = get(redeem(text))
	f.child = get(swap(f.root, "actor_token", f.actor, "actor_token_type", accessToken).Basic("relay", secret["relay"]))
	f.grandchild = get(swap(f.child).Basic("hub", secret["hub"]))
	return f
}

func (f *tokenTree) id(t *testing.T, token string) string {
	t.Helper()
	verified, err := f.Verify(t, token)
	if err != nil {
		t.Fatal(err)
	}
	return verified.ID
}

// RFC 7009 §2.1: revoking a token, an API token, a client or a subject refuses, from the next
// request on, whatever came of it, however far down and however late. What it came of itself stays
// good.
func TestRevokingAnAncestorRevokesWhatCameOfIt(t *testing.T) {
	for _, row := range []struct {
		name   string
		revoke func(t *testing.T, f *tokenTree) error
		good   string // which of root, actor, child and grandchild, by their first letters
	}{
		{"nothing", func(*testing.T, *tokenTree) error { return nil }, "racg"},
		{"the first token", func(t *testing.T, f *tokenTree) error {
			return f.RevokeToken(t.Context(), f.id(t, f.root), time.Time{})
		}, "a"},
		{"the actor's token", func(t *testing.T, f *tokenTree) error {
			return f.RevokeToken(t.Context(), f.id(t, f.actor), time.Time{})
		}, "r"},
		{"one in the middle", func(t *testing.T, f *tokenTree) error {
			return f.RevokeToken(t.Context(), f.id(t, f.child), time.Time{})
		}, "ra"},
		{"the last one", func(t *testing.T, f *tokenTree) error {
			return f.RevokeToken(t.Context(), f.id(t, f.grandchild), time.Time{})
		}, "rac"},
		{"the API token", func(t *testing.T, f *tokenTree) error { return f.APITokens.Revoke(t.Context(), f.alice.ID, "") }, "a"},
		{"the actor's API token", func(t *testing.T, f *tokenTree) error { return f.APITokens.Revoke(t.Context(), f.bob.ID, "") }, "r"},
		{"the subject", func(t *testing.T, f *tokenTree) error { return f.RevokeSubject(t.Context(), "alice") }, "a"},
		{"the actor", func(t *testing.T, f *tokenTree) error { return f.RevokeSubject(t.Context(), "bob") }, "r"},
		{"a client in the middle", func(t *testing.T, f *tokenTree) error { return f.RevokeClient(t.Context(), "relay") }, "ra"},
		{"the client that the API token stands for", func(t *testing.T, f *tokenTree) error {
			return f.RevokeClient(t.Context(), "api_token:"+f.alice.ID)
		}, "a"},
		{"a client that is removed", func(t *testing.T, f *tokenTree) error { return f.Clients.Remove(t.Context(), "relay") }, "ra"},
		{"the last client, removed", func(t *testing.T, f *tokenTree) error { return f.Clients.Remove(t.Context(), "hub") }, "rac"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newTokenTree(t)
			if err := row.revoke(t, f); err != nil {
				t.Fatal(err)
			}
			good := ""
			for _, token := range []struct{ letter, text string }{
				{"r", f.root}, {"a", f.actor}, {"c", f.child}, {"g", f.grandchild},
			} {
				if _, err := f.Verify(t, token.text); err == nil {
					good += token.letter
				}
			}
			if good != row.good {
				t.Errorf("good are %q, want %q", good, row.good)
			}
		})
	}
}

// A registration is an ancestor once, however often its client exchanges what it got.
func TestRegistrationIsAnAncestorOnce(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.Renewing)
	secret, err := f.Clients.Add(t.Context(), tokenep.Client{ID: "relay", GrantTypes: []string{cc, exchange}, Audience: []string{orders}, ExchangeFrom: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Clients.Load(t.Context(), "relay")
	if err != nil {
		t.Fatal(err)
	}
	own, _ := f.Granted(t, plain.Basic("relay", secret))
	for name, row := range map[string]struct {
		text string
		want int
	}{"its own": {own.AccessToken(), 0}, "of another": {f.Mint(t, tokenep.Claims{Audience: []string{orders}, GrantID: "g"}), 1}} {
		for range 3 {
			f.Clock.Advance(time.Second)
			a, token := f.Granted(t, swap(row.text).Basic("relay", secret))
			n := 0
			for _, ancestor := range token.Ancestors {
				if ancestor.ID == "" && ancestor.GrantID == c.RegistrationID {
					n++
				}
			}
			if n != row.want {
				t.Errorf("%s: the registration is %d times in %v", name, n, token.Ancestors)
			}
			row.text = a.AccessToken()
		}
	}
}

// An API token that acts is an ancestor too, even though it is no access token.
func TestRevokingAnActingAPIToken(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.AnyActor)
	text, made := f.NewAPIToken(t, state.APIToken{Owner: "bob"})
	exchange := swap(f.Mint(t, tokenep.Claims{}), "actor_token", text, "actor_token_type", apiToken).By("billing")
	a, _ := f.Granted(t, exchange)
	for _, revoke := range []func() error{
		func() error { return nil },
		func() error { return f.APITokens.Revoke(t.Context(), made.ID, "") },
	} {
		if err := revoke(); err != nil {
			t.Fatal(err)
		}
		_, err := f.Verify(t, a.AccessToken())
		if revoked := f.Config.Memory.Revocations.Len() > 0; (err != nil) != revoked {
			t.Errorf("revoked: %v, verified: %v", revoked, err)
		}
	}
}

// What came of a token goes with the key that signed that, although another key signed it itself.
func TestWithdrawingAKeyRevokesWhatCameOfItsTokens(t *testing.T) {
	f := tokeneptest.New(t)
	exchange := func(token string) string {
		t.Helper()
		a, _ := f.Granted(t, swap(token).By("billing"))
		return a.AccessToken()
	}
	rotate := func() {
		t.Helper()
		if err := f.Keys.Rotate(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	good := func(tokens ...string) (letters string) {
		for i, token := range tokens {
			if _, err := f.Verify(t, token); err == nil {
				letters += string(rune('a' + i))
			}
		}
		return letters
	}
	first := f.Mint(t, tokenep.Claims{})
	verified, err := f.Verify(t, first)
	if err != nil {
		t.Fatal(err)
	}
	rotate()
	child := exchange(first)
	rotate()
	grandchild, other := exchange(child), exchange(f.Mint(t, tokenep.Claims{}))
	rotate()
	if got := good(first, child, grandchild, other); got != "abcd" {
		t.Errorf("good are %q after rotations", got)
	}
	if err := f.Keys.Withdraw(t.Context(), verified.Header.KeyID); err != nil {
		t.Fatal(err)
	}
	if got := good(first, child, grandchild, other); got != "d" {
		t.Errorf("good are %q after the withdrawal", got)
	}
	f.Send(t, swap(child).By("billing")).Refused(t, 400, tokenep.InvalidRequest)
}

// An ancestor that is no token is as old as the first token that came of it: its subject ends with
// whatever came of it until then, however late the last token was issued.
func TestRevokingTheSubjectOfAnActingAPIToken(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.AnyActor)
	text, _ := f.NewAPIToken(t, state.APIToken{Owner: "bob"})
	a, _ := f.Granted(t, swap(f.Mint(t, tokenep.Claims{}), "actor_token", text, "actor_token_type", apiToken).By("billing"))
	child := a.AccessToken()
	f.Clock.Advance(10 * time.Second)
	now := f.Clock.Now()
	f.Clock.Advance(10 * time.Second)
	a, _ = f.Granted(t, swap(child).By("billing"))
	f.Config.Memory.Revocations.Add(verify.Revocation{Claim: "sub", Value: "bob", Before: now})
	for name, token := range map[string]string{"child": child, "grandchild": a.AccessToken()} {
		if _, err := f.Verify(t, token); err == nil {
			t.Errorf("the %s is good", name)
		}
	}
	// The same actor again is the same ancestor.
	f.Config.Memory.Revocations.Remove(verify.Revocation{Claim: "sub", Value: "bob", Before: now})
	a, _ = f.Granted(t, swap(child, "actor_token", text, "actor_token_type", apiToken).By("billing"))
	if verified, err := f.Verify(t, a.AccessToken()); err != nil || len(verified.Ancestors) != 3 {
		t.Errorf("%v, %+v", err, verified)
	}
}

// RFC 7592 §2.3: what is being issued to a client while it is removed is refused, in whatever
// second it is signed. What a client of the same name gets afterwards is not.
func TestRemovingAClientRacesWithItsRequest(t *testing.T) {
	var f *tokeneptest.Server
	f = tokeneptest.New(t, tokeneptest.WithGrant(voucher{func(r *tokenep.Request) (*tokenep.Authorization, error) {
		grantID, slow := strings.CutPrefix(r.Form.Get("paper"), "slow ")
		if slow {
			if err := f.Clients.Remove(t.Context(), r.Client.ID); err != nil {
				t.Error(err)
			}
			f.Clock.Advance(5 * time.Second)
		}
		return &tokenep.Authorization{Subject: "alice", GrantID: grantID, Audience: []string{orders}}, nil
	}}))
	for _, grantID := range []string{"", "a grant"} {
		client := tokenep.Client{ID: "hasty", GrantTypes: []string{voucherType}, Audience: []string{orders}}
		for _, row := range []struct {
			paper string
			good  bool
		}{{"slow " + grantID, false}, {grantID, true}} {
			secret, err := f.Clients.Add(t.Context(), client)
			if err != nil {
				t.Fatal(err)
			}
			a := f.Send(t, post("grant_type", voucherType, "paper", row.paper).Basic("hasty", secret))
			if _, err := f.Verify(t, a.AccessToken()); a.Status != 200 || (err == nil) != row.good {
				t.Errorf("%q: status %d, verified: %v", row.paper, a.Status, err)
			}
		}
		if err := f.Clients.Remove(t.Context(), "hasty"); err != nil {
			t.Fatal(err)
		}
	}
}

// The ancestors of a token are bounded, as its actors are.
func TestTooManyAncestors(t *testing.T) {
	f := tokeneptest.New(t)
	token := f.Mint(t, tokenep.Claims{})
	for n := 1; ; n++ {
		a := f.Send(t, swap(token).By("billing"))
		if a.Status != 200 {
			a.Refused(t, 400, tokenep.InvalidRequest)
			if n != 17 {
				t.Errorf("refused in exchange %d, want 17", n)
			}
			return
		}
		token = a.AccessToken()
		if verified, err := f.Verify(t, token); err != nil || len(verified.Ancestors) != n {
			t.Fatalf("exchange %d: %v, %+v", n, err, verified)
		}
	}
}

// A token that was signed with a lineage in another form could come of anything that was revoked.
func TestOddLineageIsRefused(t *testing.T) {
	f := tokeneptest.New(t)
	for name, extra := range map[string]object{
		"grant_id is a number":        {"grant_id": 7},
		"grant_id is empty":           {"grant_id": ""},
		"grant_id is null":            {"grant_id": nil},
		"ancestors is an object":      {"ancestors": object{"jti": "a"}},
		"ancestors is null":           {"ancestors": nil},
		"an ancestor is a string":     {"ancestors": []any{"a"}},
		"an ancestor is empty":        {"ancestors": []any{object{}}},
		"an ancestor has iat alone":   {"ancestors": []any{object{"iat": 1}}},
		"an ancestor's jti is a list": {"ancestors": []any{object{"jti": []any{"a"}}}},
		"its iat is a string":         {"ancestors": []any{object{"jti": "a", "iat": "1"}}},
		"its iat is after 9999":       {"ancestors": []any{object{"jti": "a", "iat": 1e12}}},
		"a member of tomorrow":        {"ancestors": []any{object{"jti": "a", "family": "x"}}},
	} {
		if _, err := f.Verify(t, f.Mint(t, tokenep.Claims{Extra: extra})); err == nil {
			t.Errorf("%s: the token is good", name)
		}
	}
	if _, err := f.Verify(t, f.Mint(t, tokenep.Claims{Extra: object{"ancestors": []any{object{"sub": "a", "iat": 1}}}})); err != nil {
		t.Error(err)
	}
	if (&verify.Token{}).Actor() != nil {
		t.Error("a token without act has an actor")
	}
}

package endpoint_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// known is what a test says of a user; a change shows at the next sign-in.
type known struct {
	claims map[string]any
	signIn tokenep.SignIn
}

// withClaims is a Change: people have claims, and site may ask for all of them.
func withClaims(k *known) tokeneptest.Change {
	return func(c *server.Config) {
		tokeneptest.WithPeople(c)
		c.User = func(r *http.Request) (tokenep.User, error) {
			return tokenep.User{Subject: r.Header.Get(tokeneptest.UserHeader), SignIn: k.signIn, Claims: k.claims}, nil
		}
		c.SignIn = []string{"auth_time"}
		c.UserClaims = tokenep.UserClaims{
			"name": "profile", "updated_at": "profile", "email": "email", "email_verified": "email", "address": "address", "phone_number": "phone", "groups": "groups",
		}
		for i := range c.Clients {
			if c.Clients[i].ID == "site" {
				c.Clients[i].Scope = verify.Scope{"openid", "profile", "email", "address", "phone", "groups", "read"}
				c.Clients[i].SkipConsent = true
			}
		}
	}
}

// OpenID Connect Core §5.3.2, §5.4: userinfo tells the claims that the scope asks for, of those
// that are declared, and nothing else that is known.
func TestUserInfoClaims(t *testing.T) {
	k := &known{claims: map[string]any{
		"name": "Alice", "updated_at": 1700000000, "email": "alice@example.com", "email_verified": true,
		"address": map[string]any{"locality": "Lund"}, "phone_number": "+46 1", "groups": []string{"staff"}, "salary": "secret",
	}}
	s := tokeneptest.New(t, withClaims(k))
	tokens := make(map[string]string)
	told := func(scope string) map[string]any {
		t.Helper()
		a := s.Send(t, tokeneptest.Get(userInfoPath).With("Authorization", "Bearer "+tokens[scope]))
		if a.Status != http.StatusOK {
			t.Fatalf("%s: %d %s", scope, a.Status, a.Body)
		}
		return a.JSON
	}
	all := "openid profile email address phone groups"
	for scope, want := range map[string]map[string]any{
		"openid":         {"sub": "alice"},
		"openid read":    {"sub": "alice"},
		"openid profile": {"sub": "alice", "name": "Alice", "updated_at": 1700000000},
		"openid email":   {"sub": "alice", "email": "alice@example.com", "email_verified": true},
		"openid address": {"sub": "alice", "address": map[string]any{"locality": "Lund"}},
		"openid phone":   {"sub": "alice", "phone_number": "+46 1"},
		"openid groups":  {"sub": "alice", "groups": []string{"staff"}},
		all: {
			"sub": "alice", "name": "Alice", "updated_at": 1700000000, "email": "alice@example.com", "email_verified": true,
			"address": map[string]any{"locality": "Lund"}, "phone_number": "+46 1", "groups": []string{"staff"},
		},
	} {
		writes := s.Store.Writes()
		code := s.Code(t, "site", "scope", scope)
		// A code is a record, and the claims are one when they are asked for first.
		if n := s.Store.Writes() - writes; n > 2 || scope == "openid" && n != 1 {
			t.Errorf("%s: the code has cost %d writes", scope, n)
		}
		a, _ := s.Granted(t, tokeneptest.RedeemCode("site", code))
		tokens[scope] = a.AccessToken()
		if got := told(scope); !tokeneptest.EqualJSON(got, want) {
			t.Errorf("%s: %v, want %v", scope, got, want)
		}
		if payload := a.JSON["id_token"].(string); strings.Contains(payload, "Alice") {
			t.Errorf("%s: the ID token has a claim of userinfo", scope)
		}
	}
	writes := s.Store.Writes()
	s.Code(t, "site", "scope", all)
	if n := s.Store.Writes() - writes; n != 1 {
		t.Errorf("claims that have not changed cost a write: %d in all", n)
	}

	k.claims = map[string]any{"name": "Alice B."}
	s.Code(t, "site", "scope", "openid profile")
	if got := told(all); !tokeneptest.EqualJSON(got, map[string]any{"sub": "alice", "name": "Alice B."}) {
		t.Errorf("after a sign-in with other claims: %v", got)
	}
	s.Store.SetAway(true)
	if a := s.Send(t, tokeneptest.Get(userInfoPath).With("Authorization", "Bearer "+tokens["openid email"])); a.Status != http.StatusServiceUnavailable {
		t.Errorf("while the store is away: %d %s", a.Status, a.Body)
	}
	if got := told("openid read"); !tokeneptest.EqualJSON(got, map[string]any{"sub": "alice"}) {
		t.Errorf("sub alone while the store is away: %v", got)
	}
	s.Store.SetAway(false)
	supported := s.Send(t, tokeneptest.Get("/.well-known/openid-configuration")).JSON["claims_supported"]
	want := []string{"sub", "iss", "aud", "exp", "iat", "nonce", "at_hash", "auth_time",
		"address", "email", "email_verified", "groups", "name", "phone_number", "updated_at"}
	if !tokeneptest.EqualJSON(supported, want) {
		t.Errorf("claims_supported is %v, want %v", supported, want)
	}
}

// What is kept of a user is kept for as long as a token can be good, and no longer.
func TestUserInfoForgets(t *testing.T) {
	k := &known{claims: map[string]any{"name": "Alice"}}
	s := tokeneptest.New(t, withClaims(k))
	a, _ := s.Granted(t, tokeneptest.RedeemCode("site", s.Code(t, "site", "scope", "openid profile")))
	name := func(token string) any {
		return s.Send(t, tokeneptest.Get(userInfoPath).With("Authorization", "Bearer "+token)).JSON["name"]
	}
	for range 89 {
		s.Clock.Advance(24 * time.Hour)
		a, _ = s.Granted(t, tokeneptest.Refresh("site", a.RefreshToken()))
	}
	if got := name(a.AccessToken()); got != "Alice" {
		t.Errorf("at the end of the refresh tokens: %v", got)
	}
	for range 5 { // who comes back is known for as long again
		s.Code(t, "site", "scope", "openid profile")
		s.Clock.Advance(60 * 24 * time.Hour)
		if got := name(s.Mint(t, tokenep.Claims{Subject: "alice", Scope: verify.Scope{"openid", "profile"}})); got != "Alice" {
			t.Errorf("two months after the last sign-in: %v", got)
		}
	}
	s.Clock.Advance(60 * 24 * time.Hour)
	token := s.Mint(t, tokenep.Claims{Subject: "alice", Scope: verify.Scope{"openid", "profile"}})
	if got := name(token); got != nil {
		t.Errorf("long after: %v", got)
	}
}

// OpenID Connect Core §2, §3.1.2.1: acr and amr say how the user has signed in. Of an acr that the
// client did not ask for, when it asked for some, nothing is said.
func TestSignInIsTold(t *testing.T) {
	k := &known{signIn: tokenep.SignIn{Time: tokeneptest.Start, Class: "silver", Methods: []string{"pwd", "otp"}}}
	s := tokeneptest.New(t, withClaims(k))
	for values, want := range map[string]any{"": "silver", "silver": "silver", "gold silver": "silver", "gold": nil, "sil": nil} {
		for what, r := range map[string]request{
			"":         tokeneptest.Authorize("site", "scope", "openid", "acr_values", values),
			", pushed": s.Pushed(t, tokeneptest.Push("site", "scope", "openid", "acr_values", values)),
		} {
			code := s.Send(t, r).Redirected(t, tokeneptest.Callback).Get("code")
			a, token := s.Granted(t, tokeneptest.RedeemCode("site", code))
			b, later := s.Granted(t, tokeneptest.Refresh("site", a.RefreshToken()))
			for name, claims := range map[string]map[string]any{
				"access token": token.Claims, "ID token": payload(t, a.JSON["id_token"].(string)),
				"access token of a refresh": later.Claims, "ID token of a refresh": payload(t, b.JSON["id_token"].(string)),
			} {
				if !tokeneptest.EqualJSON(claims["acr"], want) || !tokeneptest.EqualJSON(claims["amr"], []string{"pwd", "otp"}) ||
					!tokeneptest.EqualJSON(claims["auth_time"], tokeneptest.Start.Unix()) {
					t.Errorf("acr_values %q%s: the %s has acr %v, amr %v, auth_time %v", values, what, name, claims["acr"], claims["amr"], claims["auth_time"])
				}
			}
		}
	}
	long := s.Send(t, tokeneptest.Authorize("site", "acr_values", strings.Repeat("x", 2000))).Redirected(t, tokeneptest.Callback)
	if long.Get("error") != "invalid_request" {
		t.Errorf("acr_values of 2000 bytes: %v", long)
	}
}

// OpenID Connect Core §3.1.2.1: id_token_hint says who is meant.
func TestIDTokenHint(t *testing.T) {
	k := new(known)
	s := tokeneptest.New(t, withClaims(k), func(c *server.Config) {
		other := c.Clients[len(c.Clients)-2] // site
		other.ID, other.Secrets, other.IDTokenAlg = "other", tokeneptest.NewClient("other").Secrets, "ES256"
		c.Clients = append(c.Clients, other)
	})
	idToken := func(client string) string {
		t.Helper()
		code := s.Send(t, tokeneptest.Authorize(client, "redirect_uri", tokeneptest.Callback, "scope", "openid")).Redirected(t, tokeneptest.Callback).Get("code")
		a, _ := s.Granted(t, tokeneptest.RedeemCode(client, code, "redirect_uri", tokeneptest.Callback))
		return a.JSON["id_token"].(string)
	}
	own, foreign := idToken("site"), idToken("other")
	access := s.Mint(t, tokenep.Claims{Subject: "alice", ClientID: "site", Audience: []string{"site"}})
	s.Clock.Advance(20 * time.Hour) // it has expired
	hint := func(user, token string, pairs ...string) request {
		return tokeneptest.Authorize("site", append([]string{"scope", "openid", "id_token_hint", token}, pairs...)...).With(tokeneptest.UserHeader, user)
	}
	parts := strings.Split(own, ".")
	rows := map[string]struct {
		r    request
		want string
	}{
		"the user":                          {hint("alice", own), ""},
		"the user, silently":                {hint("alice", own, "prompt", "none"), ""},
		"another user":                      {hint("bob", own), "login_required"},
		"another user, silently":            {hint("bob", own, "prompt", "none"), "login_required"},
		"no hint":                           {hint("bob", ""), ""},
		"that of another client":            {hint("alice", foreign), "invalid_request"},
		"an access token":                   {hint("alice", access), "invalid_request"},
		"junk":                              {hint("alice", "junk"), "invalid_request"},
		"another payload":                   {hint("bob", parts[0]+"."+strings.Split(foreign, ".")[1]+"."+parts[2]), "invalid_request"},
		"no signature":                      {hint("alice", parts[0]+"."+parts[1]+"."), "invalid_request"},
		"another user, of a pushed request": {s.Pushed(t, tokeneptest.Push("site", "id_token_hint", own)).With(tokeneptest.UserHeader, "bob"), "login_required"},
		"the user, of a pushed request":     {s.Pushed(t, tokeneptest.Push("site", "id_token_hint", own)), ""},
	}
	for name, row := range rows {
		values := s.Send(t, row.r).Redirected(t, tokeneptest.Callback)
		if values.Get("error") != row.want || (values.Get("code") == "") != (row.want != "") {
			t.Errorf("%s: %v, want %q", name, values, row.want)
		}
	}
	s.Send(t, tokeneptest.Push("site", "id_token_hint", "junk")).Refused(t, 400, tokenep.InvalidRequest)

	// When the key is gone, nobody can tell who was meant.
	for _, ring := range s.Rings() {
		if err := ring.Rotate(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	s.Clock.Advance(365 * 24 * time.Hour)
	for _, ring := range s.Rings() {
		if err := ring.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if values := s.Send(t, hint("alice", own)).Redirected(t, tokeneptest.Callback); values.Get("error") != "login_required" {
		t.Errorf("by a key that is gone: %v", values)
	}
}

// payload returns the claims of a JWT, which nothing verifies.
func payload(t *testing.T, jwt string) map[string]any {
	t.Helper()
	a, err := verify.ParseAssertion(jwt)
	if err != nil {
		t.Fatal(err)
	}
	return a.Claims().Claims
}

// The claims of users have names that say nothing about tokens, and each is asked for by one
// scope-token.
func TestUserClaimsOfAServer(t *testing.T) {
	for text, claims := range map[string]tokenep.UserClaims{
		"about a token": {"sub": "profile"}, "not the name": {"": "profile"}, `"sub "`: {"sub ": "profile"}, "where other claims are": {"_claim_names": "profile"}, "one scope-token": {"groups": ""}, "must have one": {"groups": "a b"},
	} {
		if err := claims.Validate(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v", claims, err)
		}
	}
}

// OpenID Connect Core §3.1.2.1: with max_age the ID token says when the user signed in, and that is
// not too long ago, also when the user takes the time of a page to decide.
func TestMaxAgeAtTheDecision(t *testing.T) {
	for name, row := range map[string]struct {
		maxAge  string
		passes  time.Duration
		signIn  time.Duration // of who decides, after that of the request; negative: unknown
		refused bool
	}{
		"at once":                       {"60", 0, 0, false},
		"after a while":                 {"60", 29 * time.Minute, 0, false},
		"signed in again":               {"60", 29 * time.Minute, 29 * time.Minute, false},
		"nobody knows any more":         {"3600", time.Minute, -1, true},
		"nobody knows, and nobody asks": {"", time.Minute, -1, false},
	} {
		k := &known{signIn: tokenep.SignIn{Time: tokeneptest.Start}}
		s := tokeneptest.New(t, withClaims(k), func(c *server.Config) {
			for i := range c.Clients {
				c.Clients[i].SkipConsent = false
			}
		})
		decide := s.Consent(t, tokeneptest.Authorize("site", "max_age", row.maxAge), "allow")
		s.Clock.Advance(row.passes)
		if k.signIn.Time = tokeneptest.Start.Add(row.signIn); row.signIn < 0 {
			k.signIn = tokenep.SignIn{}
		}
		values := s.Send(t, decide).Redirected(t, tokeneptest.Callback)
		if got := values.Get("error"); (got == "login_required") != row.refused || (values.Get("code") == "") != row.refused {
			t.Errorf("%s: %v", name, values)
		}
	}
}

// Of a user of whom more is known than can be kept, the longest claims are left out.
func TestUserInfoOfTooMuch(t *testing.T) {
	k := &known{claims: map[string]any{"name": "Alice", "groups": strings.Repeat("g", 10_000), "phone_number": strings.Repeat("1", 9_000), "email": "a@x.example"}}
	s := tokeneptest.New(t, withClaims(k))
	code := s.Send(t, s.Pushed(t, tokeneptest.Push("site", "scope", "openid profile email phone groups"))).Redirected(t, tokeneptest.Callback).Get("code")
	a, _ := s.Granted(t, tokeneptest.RedeemCode("site", code))
	told := s.Send(t, tokeneptest.Get(userInfoPath).With("Authorization", "Bearer "+a.AccessToken())).JSON
	if told["name"] != "Alice" || told["email"] != "a@x.example" || told["groups"] != nil || told["phone_number"] == nil {
		t.Errorf("%.300v", told)
	}
}

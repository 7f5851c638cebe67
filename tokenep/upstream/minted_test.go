package upstream_test

import (
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/tokenep/upstream"
	"github.com/tokenep/caddy-tokenep/verify"
)

// mintedFront is an API that trusts a server, and mints tokens of it for an application.
type mintedFront struct {
	front
	server *tokeneptest.Server
}

func newMintedFront(t *testing.T) *mintedFront {
	t.Helper()
	f := &mintedFront{server: tokeneptest.New(t)}
	minted, err := upstream.NewMinted(upstream.MintedOptions{Minter: f.server.Minter(), Audience: []string{"https://internal"}, Leeway: leeway})
	if err != nil {
		t.Fatal(err)
	}
	f.listen(t, f.server.NewVerifier(t, func(c *verify.Config) {
		c.Cache, c.Leeway = verify.NewCache(100, c.Now), leeway
	}), minted.Credential(nil))
	return f
}

// minted returns the token that the application gets, and what it says to it.
func (f *mintedFront) minted(t *testing.T, token string) (string, *verify.Token) {
	t.Helper()
	text := f.get(t, token)
	said, err := f.server.Verify(t, text)
	if err != nil {
		t.Fatalf("the application got %.40s: %v", text, err)
	}
	return text, said
}

// A new key is a new token at once, and those of the old one are good still.
func TestMintedAfterARotation(t *testing.T) {
	f := newMintedFront(t)
	token := f.server.Mint(t, tokenep.Claims{})
	before, said := f.minted(t, token)
	if again, _ := f.minted(t, token); again != before {
		t.Error("two tokens by one key")
	}
	if err := f.server.Keys.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	after, rotated := f.minted(t, token)
	if after == before || rotated.Header.KeyID == said.Header.KeyID {
		t.Errorf("the key was %s, and is %s", said.Header.KeyID, rotated.Header.KeyID)
	}
	if again, _ := f.minted(t, token); again != after {
		t.Error("two tokens by the new key")
	}
	if _, err := f.server.Verify(t, before); err != nil {
		t.Error(err)
	}
}

// A token is good for its own time, and no longer than the one that it came of. While that is let
// in by the leeway, it is made once, and good as long as that.
func TestMintedEndsWithItsToken(t *testing.T) {
	f := newMintedFront(t)
	now := f.server.Clock.Now().Truncate(time.Second)
	for life, want := range map[time.Duration]time.Duration{time.Hour: upstream.DefaultTTL, 20 * time.Second: 20 * time.Second} {
		if _, said := f.minted(t, f.server.Mint(t, tokenep.Claims{Expires: now.Add(life)})); !said.Expires.Equal(now.Add(want)) {
			t.Errorf("for one that lives %s it lives %s", life, said.Expires.Sub(now))
		}
	}
	token := f.server.Mint(t, tokenep.Claims{Expires: now.Add(20 * time.Second)})
	f.server.Clock.Advance(22 * time.Second)
	late, said := f.minted(t, token)
	if end := now.Add(20*time.Second + leeway); !said.Expires.Equal(end) {
		t.Errorf("in the leeway it lives until %s, want %s", said.Expires, end)
	}
	f.server.Clock.Advance(5 * time.Second)
	if again, _ := f.minted(t, token); again != late {
		t.Error("in the leeway it is made twice")
	}
	f.server.Clock.Advance(leeway)
	if got := f.get(t, token); got != "401" {
		t.Errorf("after the leeway: %s", got)
	}
}

// A verifier may have a leeway of which nobody has told: there is no token then, and none that has
// expired already.
func TestMintedWithoutALeeway(t *testing.T) {
	f := &mintedFront{server: tokeneptest.New(t)}
	minted, err := upstream.NewMinted(upstream.MintedOptions{Minter: f.server.Minter(), Audience: []string{"https://internal"}})
	if err != nil {
		t.Fatal(err)
	}
	f.listen(t, f.server.NewVerifier(t, func(c *verify.Config) { c.Leeway = leeway }), minted.Credential(nil))
	token := f.server.Mint(t, tokenep.Claims{Expires: f.server.Clock.Now().Add(20 * time.Second).Truncate(time.Second)})
	f.server.Clock.Advance(22 * time.Second)
	if got := f.get(t, token); got != "401" {
		t.Errorf("the application got %s", got)
	}
}

// What ends a token ends those that were minted for it.
func TestMintedIsRevokedWithItsToken(t *testing.T) {
	for name, revoke := range map[string]func(*tokeneptest.Server, *verify.Token) error{
		"jti": func(s *tokeneptest.Server, parent *verify.Token) error {
			return s.RevokeToken(t.Context(), parent.ID, parent.Expires)
		},
		"grant_id": func(s *tokeneptest.Server, parent *verify.Token) error {
			return s.RevokeGrant(t.Context(), parent.GrantID)
		},
		"sub": func(s *tokeneptest.Server, parent *verify.Token) error {
			return s.RevokeSubject(t.Context(), parent.Subject)
		},
		"client": func(s *tokeneptest.Server, parent *verify.Token) error {
			return s.RevokeClient(t.Context(), parent.ClientID)
		},
		"key": func(s *tokeneptest.Server, parent *verify.Token) error {
			return s.Keys.Withdraw(t.Context(), parent.Header.KeyID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newMintedFront(t)
			token := f.server.Mint(t, tokenep.Claims{GrantID: "grant"})
			parent, err := f.server.Verify(t, token)
			if err != nil {
				t.Fatal(err)
			}
			if name == "key" { // another key signs what is minted
				if err := f.server.Keys.Rotate(t.Context(), true); err != nil {
					t.Fatal(err)
				}
			}
			text, _ := f.minted(t, token)
			if err := revoke(f.server, parent); err != nil {
				t.Fatal(err)
			}
			if got := f.get(t, token); got != "401" {
				t.Errorf("the token: %s", got)
			}
			if _, err := f.server.Verify(t, text); err == nil {
				t.Error("what was minted for it is good")
			}
		})
	}
}

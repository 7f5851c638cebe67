package endpoint_test

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// Tokens of another system: three that are found by themselves, and one by its name.
const (
	digested  = "a token of another system"
	digested2 = "another one"
	likeAJWT  = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
	salted    = "key_7_secret"
)

var saltedHash = "$2b$10$" + strings.Repeat("s", 53)

// newImported returns a server that has imported those tokens, and one that is good in an hour.
func newImported(t *testing.T) *tokeneptest.Server {
	f := tokeneptest.New(t, withResources, func(c *server.Config) {
		pattern, err := state.ParseTokenPattern(`key_(?P<id>[0-9]+)_[a-z]+`)
		if err != nil {
			t.Fatal(err)
		}
		rules := *c.Exchange.APITokens
		rules.Patterns, rules.AllowNever = []state.TokenPattern{pattern}, true
		c.Exchange.APITokens = &rules
		c.Memory.Turns = tokenep.NewTurns(1)
		c.CompareHash = func(hash, secret []byte) (bool, error) {
			return string(hash) == saltedHash && string(secret) == salted, nil
		}
	})
	sum, sum512 := sha256.Sum256([]byte(digested)), sha512.Sum512([]byte(digested2))
	for _, i := range []state.ImportedAPIToken{
		{Hash: "sha256:" + hex.EncodeToString(sum[:])}, {Hash: "sha512:" + hex.EncodeToString(sum512[:])}, {Token: likeAJWT},
		{Hash: saltedHash, Name: "7"},
	} {
		i.Owner, i.Service, i.Scope = "alice", tokeneptest.Orders, []string{"read"}
		if _, _, err := f.APITokens.Import(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// RFC 7662 §2.2: an imported token is told of like one of ours, to its service alone.
func TestIntrospectImportedTokens(t *testing.T) {
	f := newImported(t)
	for _, token := range []string{digested, digested2, likeAJWT, salted} {
		if got := f.Send(t, introspect(token).By("api")).JSON; got["active"] != true || got["sub"] != "alice" || got["scope"] != "read" || got["exp"] != nil {
			t.Errorf("%s: %v", token, got)
		}
		for _, r := range []request{introspect(token).By("site"), introspect(token + "x").By("api")} {
			if got := f.Send(t, r).JSON; got["active"] != false || len(got) != 1 {
				t.Errorf("%s: %v", token, got)
			}
		}
	}
}

// RFC 7009 §2.1: whoever holds an imported token revokes it, with a client or without one. Then
// it is as good as unknown, and revoking it again is no error (§2.2).
func TestRevokeImportedTokens(t *testing.T) {
	f := newImported(t)
	revoke := func(token string) request { return post("token", token).At(revokePath) }
	f.Run(t, []rule{
		refuses("another secret", revoke("key_7_other"), 401, tokenep.InvalidClient),
		refuses("another name", revoke("key_8_secret"), 401, tokenep.InvalidClient),
	})
	for token, r := range map[string]request{
		digested: revoke(digested), digested2: revoke(digested2).By("billing"), likeAJWT: revoke(likeAJWT), salted: revoke(salted),
	} {
		_, issued := f.Granted(t, tokeneptest.Exchange(token, apiToken))
		for range 2 {
			if a := f.Send(t, r); a.Status != 200 || string(a.Body) != "{}" {
				t.Errorf("%s: %d %s", token, a.Status, a.Body)
			}
		}
		f.Send(t, tokeneptest.Exchange(token, apiToken)).Refused(t, 400, tokenep.InvalidRequest)
		id, _ := strings.CutPrefix(issued.ClientID, tokenep.APITokenClientPrefix)
		if got, err := f.APITokens.Load(t.Context(), id); err != nil || got.Reason != state.ReasonHolder {
			t.Errorf("%s: revoked for %q, %v", token, got.Reason, err)
		}
		if got := f.Send(t, introspect(token).By("api")).JSON; got["active"] != false {
			t.Errorf("%s: %v", token, got)
		}
	}
}

// RFC 7009 §2.1: a token that is not good yet is revoked like any other; else it would be good.
func TestRevokeEarlyToken(t *testing.T) {
	f := newImported(t)
	text, made := f.NewAPIToken(t, state.APIToken{NotBefore: f.Clock.Now().Add(time.Hour)})
	if a := f.Send(t, post("token", text).At(revokePath)); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if got, err := f.APITokens.Load(t.Context(), made.ID); err != nil || got.Revoked.IsZero() {
		t.Errorf("an early token is not revoked: %+v, %v", got, err)
	}
}

// What is no token costs a read for each kind of digest that is in use, and one for each pattern
// that fits.
func TestUnknownTokensCostFewReads(t *testing.T) {
	f := newImported(t)
	for token, reads := range map[string]int64{"junk": 2, "key_8_secret": 3, digested + "x": 2} {
		for name, r := range map[string]request{
			"revocation": post("token", token).At(revokePath), "introspection": introspect(token).By("api"),
		} {
			before := f.Store.Reads()
			f.Send(t, r)
			if got := f.Store.Reads() - before; got != reads {
				t.Errorf("%s of %q: %d reads, want %d", name, token, got, reads)
			}
		}
	}
}

// Slow hashes wait for the turn of the address that asks, and when too many wait it is told so.
func TestSlowHashesOfImportedTokensAreBounded(t *testing.T) {
	f := newImported(t)
	turns, here := f.Config.Memory.Turns, netip.MustParsePrefix("127.0.0.1/32")
	release, err := turns.Take(t.Context(), here)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(30*time.Second, release) // so that a server that waits does not wait for ever
	for range 8 {
		go func() {
			if release, err := turns.Take(context.WithoutCancel(t.Context()), here); err == nil {
				release()
			}
		}()
	}
	for turns.Waiting() < 8 {
		time.Sleep(time.Millisecond)
	}
	f.Run(t, []rule{
		refuses("revocation", post("token", salted).At(revokePath), 503, tokenep.TemporarilyUnavailable),
		refuses("introspection", introspect(salted).By("api"), 503, tokenep.TemporarilyUnavailable),
	})
}

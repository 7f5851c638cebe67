package state_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// bcryptOf stands for a salted hash of a token, which compareFake takes for that of it.
func bcryptOf(token string) string {
	return "$2b$10$" + (strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789", r) {
			return r
		}
		return '.'
	}, token) + strings.Repeat("/", 53))[:53]
}

func compareFake(_ context.Context, _ netip.Addr, hash, token []byte) (bool, error) {
	return bytes.Equal(hash, []byte(bcryptOf(string(token)))), nil
}

// newImporting returns API tokens of a server that takes those of another system.
func newImporting(t *testing.T, s store.Store, c *clock) state.APITokens {
	t.Helper()
	tokens, _ := newAPITokens(s, c)
	pattern, err := state.ParseTokenPattern(`key-(?P<id>[a-z0-9]+)-[a-z0-9]+`)
	must(t, err)
	tokens.Patterns, tokens.Compare, tokens.AllowNever, tokens.MaxPerUser = []state.TokenPattern{pattern}, compareFake, true, 0
	return tokens
}

func hexOf(sum []byte) string { return hex.EncodeToString(sum) }

func TestImportedTokensAreGood(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		tokens := newImporting(t, s, c)
		sum256, sum512 := sha256.Sum256([]byte("of sha256")), sha512.Sum512([]byte("of sha512"))
		for token, i := range map[string]state.ImportedAPIToken{
			"of sha256":         {Hash: "sha256:" + hexOf(sum256[:])},
			"of sha512":         {Hash: "sha512:" + base64.StdEncoding.EncodeToString(sum512[:])},
			"in clear, with é":  {Token: "in clear, with é"},
			"key-k1-secret":     {Name: "k1", Hash: bcryptOf("key-k1-secret")},
			"eyJhbGciOi.no.jwt": {Token: "eyJhbGciOi.no.jwt"},
		} {
			i.APIToken = ask("ann")
			made, isNew, err := tokens.Import(t.Context(), i)
			if err != nil || !isNew || !made.Imported || !made.NoExpiry {
				t.Fatalf("%s: %+v, %v, %v", token, made, isNew, err)
			}
			if _, isNew, err := tokens.Import(t.Context(), i); err != nil || isNew {
				t.Errorf("%s again: %v, %v", token, isNew, err)
			}
			got, err := exchange(t.Context(), tokens, token)
			if err != nil || got.ID != made.ID || got.Owner != "ann" {
				t.Errorf("%s: %+v, %v", token, got, err)
			}
			if _, err := exchange(t.Context(), tokens, token+"x"); !errors.Is(err, state.ErrBadAPIToken) {
				t.Errorf("%s with one letter more: %v", token, err)
			}
			record, err := s.Load(t.Context(), "api_token", made.ID)
			must(t, err)
			if i.Token != "" && strings.Contains(string(record.Data), i.Token) {
				t.Errorf("the token is stored: %s", record.Data)
			}

			// Rolled, it is one of ours, and the old one is good for the overlap.
			ours, _ := mustRoll(t, tokens, made.ID, time.Hour)
			for _, text := range []string{ours, token} {
				if got, err := exchange(t.Context(), tokens, text); err != nil || got.ID != made.ID {
					t.Errorf("%s, rolled: %v", text, err)
				}
			}
			if _, isNew, err := tokens.Import(t.Context(), i); err != nil || isNew {
				t.Errorf("%s again, when it was rolled: %v, %v", token, isNew, err)
			}
			c.Advance(time.Hour)
			if _, err := exchange(t.Context(), tokens, token); !errors.Is(err, state.ErrRolledAPIToken) {
				t.Errorf("%s after the overlap: %v, want ErrRolledAPIToken", token, err)
			}
			must(t, tokens.Revoke(t.Context(), made.ID, ""))
			if _, err := exchange(t.Context(), tokens, ours); !errors.Is(err, state.ErrRevokedAPIToken) {
				t.Errorf("%s revoked: %v", token, err)
			}
		}
		if list, err := tokens.List(t.Context(), "ann", "", 10); err != nil || len(list) != 5 {
			t.Errorf("%d listed, %v, want each once", len(list), err)
		}
	})
}

func TestImportRefuses(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	tokens := newImporting(t, f, c)
	tokens.AllowNever = false
	f.Fail(func(call storetest.Call) storetest.Fault {
		if call.Verb == "Insert" || call.Verb == "Swap" {
			t.Errorf("%+v of a refused one", call)
		}
		return storetest.None
	})
	for name, change := range map[string]func(*state.ImportedAPIToken){
		"neither hash nor token":     func(i *state.ImportedAPIToken) { i.Hash = "" },
		"hash and token":             func(i *state.ImportedAPIToken) { i.Token = "x" },
		"a short hash":               func(i *state.ImportedAPIToken) { i.Hash = i.Hash[:len(i.Hash)-2] },
		"a hash in another alphabet": func(i *state.ImportedAPIToken) { i.Hash = "sha256:" + strings.Repeat("!", 64) },
		"a hash of another kind":     func(i *state.ImportedAPIToken) { i.Hash = "md5:" + strings.Repeat("0", 32) },
		"a hash without its kind":    func(i *state.ImportedAPIToken) { i.Hash = i.Hash[7:] },
		"bcrypt without a name":      func(i *state.ImportedAPIToken) { i.Hash = bcryptOf("x") },
		"bcrypt that costs too much": func(i *state.ImportedAPIToken) {
			i.Name, i.Hash = "x", strings.Replace(bcryptOf("x"), "$10$", "$20$", 1)
		},
		"argon2id that costs a lot": func(i *state.ImportedAPIToken) {
			i.Name, i.Hash = "x", "$argon2id$v=19$m=9999999,t=1,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		},
		"argon2id that panics": func(i *state.ImportedAPIToken) {
			i.Name, i.Hash = "x", "$argon2id$v=19$m=65536,t=0,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		},
		"argon2id that costs some memory": func(i *state.ImportedAPIToken) {
			i.Name, i.Hash = "x", "$argon2id$v=19$m=65537,t=1,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		},
		"argon2id with a leading zero": func(i *state.ImportedAPIToken) {
			i.Name, i.Hash = "x", "$argon2id$v=19$m=08192,t=1,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		},
		"argon2id with too little memory for its threads": func(i *state.ImportedAPIToken) {
			i.Name, i.Hash = "x", "$argon2id$v=19$m=8,t=1,p=2$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		},
		"argon2id with a salt that is no base64": func(i *state.ImportedAPIToken) {
			i.Name, i.Hash = "x", "$argon2id$v=19$m=8192,t=1,p=1$AAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		},
		"argon2id with bits behind its digest": func(i *state.ImportedAPIToken) {
			i.Name, i.Hash = "x", "$argon2id$v=19$m=8192,t=1,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAB"
		},
		"a token that is too long":    func(i *state.ImportedAPIToken) { i.Hash, i.Token = "", strings.Repeat("x", 4097) },
		"no owner":                    func(i *state.ImportedAPIToken) { i.Owner = "" },
		"an owner that is a client":   func(i *state.ImportedAPIToken) { i.Owner = "client:billing" },
		"never, where that is denied": func(i *state.ImportedAPIToken) { i.NoExpiry = true },
		"expired":                     func(i *state.ImportedAPIToken) { i.Expires = c.Now() },
	} {
		i := state.ImportedAPIToken{Hash: "sha256:" + strings.Repeat("0", 64), APIToken: ask("ann")}
		change(&i)
		if _, _, err := tokens.Import(t.Context(), i); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	tokens.Patterns = nil
	if _, _, err := tokens.Import(t.Context(), state.ImportedAPIToken{Name: "x", Hash: bcryptOf("x"), APIToken: ask("ann")}); !errors.Is(err, state.ErrInvalid) {
		t.Errorf("bcrypt without a pattern: %v, want ErrInvalid", err)
	}
	tokens = newImporting(t, f, c)
	tokens.Compare = nil
	if _, _, err := tokens.Import(t.Context(), state.ImportedAPIToken{Name: "x", Hash: bcryptOf("x"), APIToken: ask("ann")}); !errors.Is(err, state.ErrInvalid) {
		t.Errorf("bcrypt where nobody compares it: %v, want ErrInvalid", err)
	}
	f.Fail(nil)
	tokens = newImporting(t, f, c)
	_, _, err := tokens.Import(t.Context(), state.ImportedAPIToken{Name: "x", Hash: bcryptOf("key-x-1"), APIToken: ask("ann")})
	must(t, err)
	if _, _, err := tokens.Import(t.Context(), state.ImportedAPIToken{Name: "x", Hash: bcryptOf("key-x-2"), APIToken: ask("ann")}); !errors.Is(err, state.ErrConflicting) {
		t.Errorf("another hash for the same name: %v, want ErrConflicting", err)
	}
	for _, bad := range []string{`(`, `key-[a-z]+`, `(?P<name>x)`} {
		if _, err := state.ParseTokenPattern(bad); err == nil {
			t.Errorf("pattern %s is accepted", bad)
		}
	}
}

// One read for each digest in use, and none when nothing was imported.
func TestReadsOfImportedTokens(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	tokens := newImporting(t, f, c)
	other := newImporting(t, f, c)
	loads := 0
	count := func(call storetest.Call) storetest.Fault {
		if call.Verb == "Load" {
			loads++
		}
		return storetest.None
	}
	reads := func(s state.APITokens, token string) int {
		loads = 0
		_, _ = exchange(t.Context(), s, token)
		return loads
	}
	f.Fail(count)
	if n := reads(tokens, "junk"); n != 0 {
		t.Errorf("%d reads although nothing was imported", n)
	}
	bring := func(i state.ImportedAPIToken) {
		i.APIToken = ask("ann")
		_, _, err := tokens.Import(t.Context(), i)
		must(t, err)
	}
	bring(state.ImportedAPIToken{Token: "one"})
	if n := reads(tokens, "one"); n != 1 {
		t.Errorf("%d reads of the only digest in use", n)
	}
	if n := reads(other, "one"); n != 0 {
		t.Errorf("%d reads at a node that knows of nothing", n)
	}
	must(t, other.FollowImports(t.Context()))
	if n := reads(other, "one"); n != 1 {
		t.Errorf("%d reads at a node that has heard of it", n)
	}
	sum := sha512.Sum512([]byte("two"))
	bring(state.ImportedAPIToken{Hash: "sha512:" + hexOf(sum[:])})
	if n := reads(tokens, "junk"); n != 2 {
		t.Errorf("%d reads of junk with two digests in use", n)
	}
	bring(state.ImportedAPIToken{Name: "k", Hash: bcryptOf("key-k-s")})
	if n := reads(tokens, "junk"); n != 2 {
		t.Errorf("%d reads of junk that fits no pattern", n)
	}
	if n := reads(tokens, "key-k-s"); n != 3 {
		t.Errorf("%d reads of one with a salted hash", n)
	}
	if n := reads(tokens, strings.Repeat("x", 5000)); n != 0 {
		t.Errorf("%d reads of what is too long", n)
	}
	f.Fail(away())
	if _, err := exchange(t.Context(), tokens, "one"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("while the store is away: %v, want store.ErrUnavailable", err)
	}
}

// Wherever an import dies, it is repeated, and then the token is there, once.
func TestImportThatDiesIsRepeated(t *testing.T) {
	for n := range 4 {
		c := newClock()
		f := storetest.NewFaulty(newMemory(t, c.Now))
		tokens := newImporting(t, f, c)
		tokens.MaxPerUser = 1
		i := state.ImportedAPIToken{Token: "old", APIToken: ask("ann")}
		i.Expires = c.Now().Add(time.Hour)
		dieAtWrite(f, n)
		_, _, err := tokens.Import(t.Context(), i)
		f.Fail(nil)
		if (err == nil) != (n == 3) {
			t.Fatalf("write %d: %v", n, err)
		}
		if n == 2 { // somebody takes its place before it is repeated, and gives it back
			c.Advance(time.Minute)
			_, made := mustCreate(t, tokens, "ann")
			must(t, tokens.Revoke(t.Context(), made.ID, ""))
		}
		if _, _, err := tokens.Import(t.Context(), i); err != nil {
			t.Fatalf("write %d, once more: %v", n, err)
		}
		if _, err := exchange(t.Context(), tokens, "old"); err != nil {
			t.Errorf("write %d: %v", n, err)
		}
		if got := live(t, tokens, "ann"); got != 1 {
			t.Errorf("write %d: %d live, want 1", n, got)
		}
	}
}

// What has ended does not come back by being imported again, however long ago it ended.
func TestImportingAgainRevivesNothing(t *testing.T) {
	c := newClock()
	tokens := newImporting(t, newMemory(t, c.Now), c)
	for name, end := range map[string]func(state.APIToken){
		"expired": func(made state.APIToken) { c.Advance(made.Expires.Sub(c.Now())) },
		"revoked": func(made state.APIToken) { must(t, tokens.Revoke(t.Context(), made.ID, state.ReasonLeaked)) },
	} {
		i := state.ImportedAPIToken{Token: "a key that has " + name, APIToken: ask("ann")}
		if name == "expired" {
			i.Expires = c.Now().Add(time.Hour)
		}
		made, _, err := tokens.Import(t.Context(), i)
		must(t, err)
		end(made)
		// A store may drop what has expired, at any time.
		if r, err := tokens.Store.Load(t.Context(), "api_token", made.ID); err != nil || !r.Expires.IsZero() {
			t.Errorf("%s: the record is garbage at %v, %v; want never", name, r.Expires, err)
		}
		c.Advance(400 * 24 * time.Hour)
		i.Expires = time.Time{}
		if _, isNew, err := tokens.Import(t.Context(), i); err == nil && isNew {
			t.Errorf("%s: it was made once more", name)
		}
		if _, err := exchange(t.Context(), tokens, i.Token); !errors.Is(err, state.ErrBadAPIToken) {
			t.Errorf("%s: %v, want ErrBadAPIToken", name, err)
		}
	}
}

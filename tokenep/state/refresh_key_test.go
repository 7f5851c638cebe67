package state_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/keys/seal"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// under returns the seals of a server: one byte stands for each encryption key.
func under(t *testing.T, server, keys string) seal.Seals {
	t.Helper()
	var all [][]byte
	for i := range len(keys) {
		all = append(all, bytes.Repeat([]byte{keys[i]}, seal.KeySize))
	}
	seals, err := seal.New(all, server)
	must(t, err)
	return seals
}

func mustRefreshKey(t *testing.T, s store.Store, seals seal.Seals) []byte {
	t.Helper()
	key, err := state.RefreshKey(t.Context(), s, seals)
	must(t, err)
	return key
}

// storedKey is what the store has of a key, and whether the key can be read in it.
func storedKey(t *testing.T, s store.Store, key []byte) (data string, inClear bool) {
	t.Helper()
	record, err := s.Load(t.Context(), "secret", "refresh_token_key")
	must(t, err)
	data = string(record.Data)
	return data, strings.Contains(data, base64.StdEncoding.EncodeToString(key)) || strings.Contains(data, string(key))
}

func TestRefreshKeyIsMadeOnce(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, node func() store.Store, _ *clock) {
		nodes := []store.Store{node(), node()}
		keys := make([][]byte, 20)
		var wg sync.WaitGroup
		for i := range keys {
			wg.Go(func() {
				var err error
				if keys[i], err = state.RefreshKey(t.Context(), nodes[i%2], under(t, "main", "a")); err != nil {
					t.Errorf("RefreshKey: %v", err)
				}
			})
		}
		wg.Wait()
		for _, key := range keys {
			if len(key) != 32 || !bytes.Equal(key, keys[0]) {
				t.Fatalf("keys differ, or one has %d bytes", len(key))
			}
		}
		if _, inClear := storedKey(t, nodes[0], keys[0]); inClear {
			t.Error("it is stored in clear")
		}
	})
}

func TestClearRefreshKeyIsSealedByTheNextStart(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, _ *clock) {
		key := mustRefreshKey(t, s, seal.Seals{})
		if _, inClear := storedKey(t, s, key); !inClear {
			t.Fatal("this test cannot see a key in clear")
		}
		var wg sync.WaitGroup
		for range 4 { // all nodes of a cluster start at once
			wg.Go(func() {
				if again, err := state.RefreshKey(t.Context(), s, under(t, "main", "a")); err != nil || !bytes.Equal(again, key) {
					t.Errorf("another key, or none: %v", err)
				}
			})
		}
		wg.Wait()
		if _, inClear := storedKey(t, s, key); inClear {
			t.Error("it is still stored in clear")
		}
	})
}

func TestRefreshKeyThatCannotBeDecryptedIsLeftAlone(t *testing.T) {
	c := newClock()
	s := newMemory(t, c.Now)
	key := mustRefreshKey(t, s, under(t, "main", "a"))
	before, _ := storedKey(t, s, key)
	for name, seals := range map[string]seal.Seals{
		"no key": {}, "a wrong key": under(t, "main", "b"), "two of them": under(t, "main", "bc"), "another server": under(t, "other", "a"),
	} {
		if got, err := state.RefreshKey(t.Context(), s, seals); !errors.Is(err, seal.ErrSealed) || got != nil {
			t.Errorf("%s: %d bytes, %v, want seal.ErrSealed", name, len(got), err)
		}
		if after, _ := storedKey(t, s, key); after != before {
			t.Errorf("%s: the record was overwritten", name)
		}
	}
	// Nor is the record good in another place, although it was sealed by this server.
	ring := store.Record{Kind: "secret", ID: "another", Data: []byte(before)}
	if _, _, err := under(t, "main", "a").Open(ring.Kind, ring.ID, ring.Data); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("in another place: %v, want seal.ErrSealed", err)
	}
}

func TestEncryptionKeyOfTheRefreshKeyTurnsOver(t *testing.T) {
	c := newClock()
	s := newMemory(t, c.Now)
	key := mustRefreshKey(t, s, under(t, "main", "a"))
	for _, step := range []struct{ keys, opens string }{
		{"ab", "a"}, // known everywhere before it is used
		{"ba", "b"}, // used
		{"b", "b"},  // the old one is dropped
	} {
		if got := mustRefreshKey(t, s, under(t, "main", step.keys)); !bytes.Equal(got, key) {
			t.Fatalf("%s: another key", step.keys)
		}
		data, _ := storedKey(t, s, key)
		if _, current, err := under(t, "main", step.opens).Open("secret", "refresh_token_key", []byte(data)); err != nil || !current {
			t.Errorf("%s: the record is not under %s: %v", step.keys, step.opens, err)
		}
	}
}

func TestRefreshKeyIsNotMadeDuringAnOutage(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	f.Fail(away())
	if key, err := state.RefreshKey(t.Context(), f, seal.Seals{}); !errors.Is(err, store.ErrUnavailable) || len(key) > 0 {
		t.Errorf("%d bytes, %v, want store.ErrUnavailable", len(key), err)
	}
	f.Fail(nil)
	for _, data := range []string{`{"secret":"AAAA"}`, `{}`, ``, `A256GCM`} {
		must(t, f.Delete(t.Context(), "secret", "refresh_token_key"))
		must(t, f.Insert(t.Context(), store.Record{Kind: "secret", ID: "refresh_token_key", Data: []byte(data)}))
		if key, err := state.RefreshKey(t.Context(), f, under(t, "main", "a")); err == nil {
			t.Errorf("%q: a damaged key of %d bytes is taken", data, len(key))
		}
	}
}

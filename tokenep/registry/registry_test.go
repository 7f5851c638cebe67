package registry_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/internal/record/enginetest"
	"github.com/tokenep/caddy-tokenep/tokenep/registry"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

func TestMain(m *testing.M) { os.Exit(enginetest.Main(m)) }

func fourHours() time.Duration { return 4 * time.Hour }

// revocations returns the log of a node, and the set that the node verifies against.
func revocations(s store.Store, c *verifytest.Clock) (*state.Revocations, *verify.Revocations) {
	set := new(verify.Revocations)
	return state.NewRevocations(s, set, c.Now, slog.New(slog.DiscardHandler)), set
}

func billing() tokenep.Client {
	return tokenep.Client{
		ID: "billing", Name: "Billing", GrantTypes: []string{"client_credentials"},
		Scope: verify.Scope{"orders:read"}, Audience: []string{"https://api.example"}, AccessTokenTTL: tokenep.Duration(time.Hour),
	}
}

func TestAddedClientIsLoaded(t *testing.T) {
	enginetest.EachStore(t, func(t *testing.T, s store.Store, c *verifytest.Clock) {
		clients := registry.Registry{Store: s, Now: c.Now}
		secret, err := clients.Add(t.Context(), billing())
		if err != nil {
			t.Fatal(err)
		}
		got, err := clients.Load(t.Context(), "billing")
		if err != nil {
			t.Fatal(err)
		}
		want := billing()
		if got.ID != want.ID || got.Name != want.Name || !slices.Equal(got.GrantTypes, want.GrantTypes) || got.AccessTokenTTL != want.AccessTokenTTL ||
			!slices.Equal(got.Scope, want.Scope) || !slices.Equal(got.Audience, want.Audience) || got.IssuedAt != c.Now().Unix() {
			t.Errorf("loaded %+v", got)
		}
		if len(got.Secrets) != 1 || got.Secrets[0].Hash != tokenep.HashSecret(secret) {
			t.Errorf("secrets %v, want the hash of the one that was returned", got.Secrets)
		}
		record, err := s.Load(t.Context(), "client", "billing")
		if err != nil || strings.Contains(string(record.Data), secret) {
			t.Errorf("%v; the record has the secret: %s", err, record.Data)
		}
	})
}

func TestPublicClientHasNoSecret(t *testing.T) {
	c := enginetest.NewClock()
	clients := registry.Registry{Store: enginetest.Memory(t, c.Now), Now: c.Now}
	public := billing()
	public.AuthMethod = tokenep.AuthNone
	secret, err := clients.Add(t.Context(), public)
	if err != nil || secret != "" {
		t.Errorf("secret %q, %v, want none", secret, err)
	}
	got, err := clients.Load(t.Context(), "billing")
	if err != nil || !got.Public() {
		t.Errorf("%+v, %v, want a public client", got, err)
	}
}

func TestAddRefusesWhatIsNoClient(t *testing.T) {
	c := enginetest.NewClock()
	for name, change := range map[string]func(*tokenep.Client){
		"no id":                       func(c *tokenep.Client) { c.ID = "" },
		"a reserved id":               func(c *tokenep.Client) { c.ID = "api_token:x" },
		"a secret that people chose":  func(c *tokenep.Client) { c.Secrets = []tokenep.Secret{{Hash: "$sha256$x"}} },
		"an unknown auth_method":      func(c *tokenep.Client) { c.AuthMethod = "tls_client_auth" },
		"a name with a line end":      func(c *tokenep.Client) { c.Name = "a\nb" },
		"an audience with an escape":  func(c *tokenep.Client) { c.Audience = []string{"\x1b[2J"} },
		"a scope with a quote":        func(c *tokenep.Client) { c.Scope = verify.Scope{`"`} },
		"a default scope beyond its":  func(c *tokenep.Client) { c.DefaultScope = verify.Scope{"all"} },
		"a life of tokens below zero": func(c *tokenep.Client) { c.AccessTokenTTL = -1 },
	} {
		clients := registry.Registry{Store: enginetest.Memory(t, c.Now), Now: c.Now}
		bad := billing()
		change(&bad)
		if _, err := clients.Add(t.Context(), bad); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
		if list, err := clients.List(t.Context(), "", 10); err != nil || len(list) != 0 {
			t.Errorf("%s: listed %v, %v, want nothing", name, list, err)
		}
	}
}

func TestOfManyClientsWithOneIDOneIsAdded(t *testing.T) {
	enginetest.EachDatabase(t, func(t *testing.T, node func() store.Store, c *verifytest.Clock) {
		clients := registry.Registry{Store: node(), Now: c.Now}
		nodes := []registry.Registry{clients, {Store: node(), Now: c.Now}}
		var wg sync.WaitGroup
		secrets := make(chan string, 8)
		for i := range 8 {
			wg.Go(func() {
				secret, err := nodes[i%2].Add(t.Context(), billing())
				if err == nil {
					secrets <- secret
				} else if !errors.Is(err, store.ErrExists) || !strings.Contains(err.Error(), `"billing"`) {
					t.Errorf("%v, want store.ErrExists with the id", err)
				}
			})
		}
		wg.Wait()
		if len(secrets) != 1 {
			t.Fatalf("%d were added, want 1", len(secrets))
		}
		got, err := clients.Load(t.Context(), "billing")
		if err != nil || got.Secrets[0].Hash != tokenep.HashSecret(<-secrets) {
			t.Errorf("%v; the secret that was returned is not the one that is kept", err)
		}
	})
}

func TestUnknownClientIsInvalidClientAndAnOutageIsNot(t *testing.T) {
	c := enginetest.NewClock()
	f := storetest.NewFaulty(enginetest.Memory(t, c.Now))
	clients := registry.Registry{Store: f, Now: c.Now}
	for _, id := range []string{"", "nobody", strings.Repeat("x", 129), "\x00"} {
		if _, err := clients.Load(t.Context(), id); !errors.Is(err, tokenep.InvalidClient) {
			t.Errorf("Load %.10q: %v, want invalid_client", id, err)
		}
		if err := clients.Remove(t.Context(), id); !errors.Is(err, tokenep.InvalidClient) {
			t.Errorf("Remove %.10q: %v, want invalid_client", id, err)
		}
	}
	f.Fail(func(storetest.Call) storetest.Fault { return storetest.Away })
	_, err := clients.Load(t.Context(), "nobody")
	if errors.Is(err, tokenep.InvalidClient) || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("with the store away: %v, want store.ErrUnavailable", err)
	}
}

func TestRemovedClientIsGoneWithItsTokens(t *testing.T) {
	enginetest.EachStore(t, func(t *testing.T, s store.Store, c *verifytest.Clock) {
		log, set := revocations(s, c)
		clients := registry.Registry{Store: s, Now: c.Now, Revocations: log, TokenLife: fourHours}
		if _, err := clients.Add(t.Context(), billing()); err != nil {
			t.Fatal(err)
		}
		added, err := clients.Load(t.Context(), "billing")
		if err != nil {
			t.Fatal(err)
		}
		issued := &verify.Token{GrantID: added.RegistrationID, IssuedAt: c.Now().Add(time.Minute)}
		if err := clients.Remove(t.Context(), "billing"); err != nil {
			t.Fatal(err)
		}
		if _, err := clients.Load(t.Context(), "billing"); !errors.Is(err, tokenep.InvalidClient) {
			t.Errorf("Load: %v, want invalid_client", err)
		}
		if !set.Revoked(issued) {
			t.Error("its token lives")
		}
		if _, err := clients.Add(t.Context(), billing()); err != nil {
			t.Fatal(err)
		}
		if added, err = clients.Load(t.Context(), "billing"); err != nil {
			t.Fatal(err)
		}
		if set.Revoked(&verify.Token{ClientID: "billing", GrantID: added.RegistrationID, IssuedAt: c.Now()}) {
			t.Error("a token of its successor is revoked")
		}
	})
}

// Whichever verb of a Remove the store fails at, repeating it leaves neither the client nor its
// tokens.
func TestRemoveThatFailedIsRepeated(t *testing.T) {
	for failing := 1; ; failing++ {
		c := enginetest.NewClock()
		s := storetest.NewFaulty(enginetest.Memory(t, c.Now))
		log, set := revocations(s, c)
		clients := registry.Registry{Store: s, Now: c.Now, Revocations: log, TokenLife: fourHours}
		if _, err := clients.Add(t.Context(), billing()); err != nil {
			t.Fatal(err)
		}
		added, err := clients.Load(t.Context(), "billing")
		if err != nil {
			t.Fatal(err)
		}
		verbs := 0
		s.Fail(func(storetest.Call) storetest.Fault {
			if verbs++; verbs == failing {
				return storetest.Away
			}
			return storetest.None
		})
		err = clients.Remove(t.Context(), "billing")
		if verbs < failing {
			return // and all of them have had their turn
		}
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("verb %d: %v", failing, err)
		}
		if err := clients.Remove(t.Context(), "billing"); err != nil && !errors.Is(err, tokenep.InvalidClient) {
			t.Errorf("verb %d, repeated: %v", failing, err)
		}
		if _, err := clients.Load(t.Context(), "billing"); !errors.Is(err, tokenep.InvalidClient) {
			t.Errorf("verb %d: the client is there: %v", failing, err)
		}
		if !set.Revoked(&verify.Token{GrantID: added.RegistrationID, IssuedAt: c.Now()}) {
			t.Errorf("verb %d: its token lives", failing)
		}
	}
}

func TestListGoesThroughAllClientsInPages(t *testing.T) {
	enginetest.EachStore(t, func(t *testing.T, s store.Store, c *verifytest.Clock) {
		clients := registry.Registry{Store: s, Now: c.Now}
		var want []string
		for i := range 7 {
			one := billing()
			one.ID = fmt.Sprintf("client %d", i)
			if _, err := clients.Add(t.Context(), one); err != nil {
				t.Fatal(err)
			}
			want = append(want, one.ID)
		}
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			page, err := clients.List(t.Context(), after, 3)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, one := range page {
				got = append(got, one.ID)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// Rotations that follow each other leave two secrets at the most, and lengthen the life of none.
func TestRotatedSecrets(t *testing.T) {
	enginetest.EachStore(t, func(t *testing.T, s store.Store, c *verifytest.Clock) {
		clients := registry.Registry{Store: s, Now: c.Now}
		first, err := clients.Add(t.Context(), billing())
		if err != nil {
			t.Fatal(err)
		}
		before, err := clients.Load(t.Context(), "billing")
		if err != nil {
			t.Fatal(err)
		}
		rotate := func(overlap time.Duration, want ...string) string {
			t.Helper()
			rotated, err := clients.Rotate(t.Context(), "billing", overlap)
			if err != nil {
				t.Fatal(err)
			}
			got, err := clients.Load(t.Context(), "billing")
			if err != nil {
				t.Fatal(err)
			}
			var live []string
			for _, secret := range got.Secrets {
				if secret.Expires.IsZero() || c.Now().Before(secret.Expires) {
					live = append(live, secret.Hash)
				}
			}
			expected := []string{tokenep.HashSecret(rotated.Secret)}
			for _, old := range want {
				expected = append(expected, tokenep.HashSecret(old))
			}
			if !slices.Equal(live, expected) || got.RegistrationID != before.RegistrationID {
				t.Errorf("secrets %v, want %v; registration %s, want %s", live, expected, got.RegistrationID, before.RegistrationID)
			}
			return rotated.Secret
		}
		second := rotate(time.Hour, first)
		third := rotate(24*time.Hour, second)
		c.Advance(24 * time.Hour)
		rotate(time.Hour, third) // second has ended
		rotate(0)
		// Of a secret that was to end anyway, a rotation does not make it later.
		fifth := rotate(0)
		sixth := rotate(time.Hour, fifth)
		if ended, err := clients.EndSecret(t.Context(), "billing", sixth); !ended || err != nil {
			t.Fatal(ended, err)
		}
		// The client has another registration since.
		if before, err = clients.Load(t.Context(), "billing"); err != nil {
			t.Fatal(err)
		}
		rotate(24*time.Hour, fifth)
		after, err := clients.Load(t.Context(), "billing")
		if err != nil || len(after.Secrets) != 2 || after.Secrets[1].Expires.After(c.Now().Add(time.Hour)) {
			t.Errorf("%v; the old secret ends at %v, want an hour from %v", err, after.Secrets, c.Now())
		}
		if _, err := clients.Rotate(t.Context(), "nobody", 0); !errors.Is(err, tokenep.InvalidClient) {
			t.Errorf("%v, want %v", err, tokenep.InvalidClient)
		}
	})
}

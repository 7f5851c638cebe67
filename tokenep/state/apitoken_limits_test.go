package state_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
)

func mustRate(t *testing.T, text string) verify.Rate {
	t.Helper()
	rate, err := verify.ParseRate(text)
	must(t, err)
	return rate
}

func block(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func TestExchangeHoldsToTheLimitsOfAnAPIToken(t *testing.T) {
	c := newClock()
	tokens, _ := newAPITokens(newMemory(t, c.Now), c)
	tokens.AllowNever, tokens.MaxPerUser = true, 0
	for _, row := range []struct {
		name   string
		limit  func(*state.APIToken)
		before time.Duration // that passes before the exchange
		from   string
		want   error
	}{
		{"no limit", func(*state.APIToken) {}, 0, "198.51.100.1", nil},
		{"not before: too early", func(a *state.APIToken) { a.NotBefore = c.Now().Add(time.Hour) }, time.Hour - time.Second, "192.0.2.1", state.ErrEarlyAPIToken},
		{"not before: in time", func(a *state.APIToken) { a.NotBefore = c.Now().Add(time.Hour) }, time.Hour, "192.0.2.1", nil},
		{"default expiry: the last second", func(*state.APIToken) {}, 90*24*time.Hour - time.Second, "192.0.2.1", nil},
		{"default expiry: over", func(*state.APIToken) {}, 90 * 24 * time.Hour, "192.0.2.1", state.ErrExpiredAPIToken},
		{"no expiry", func(a *state.APIToken) { a.NoExpiry = true }, 10 * 366 * 24 * time.Hour, "192.0.2.1", nil},
		{"allow: inside", func(a *state.APIToken) { a.AllowFrom = []netip.Prefix{block("192.0.2.0/24")} }, 0, "192.0.2.255", nil},
		{"allow: outside", func(a *state.APIToken) { a.AllowFrom = []netip.Prefix{block("192.0.2.0/24")} }, 0, "192.0.3.0", state.ErrAddressAPIToken},
		{"allow: IPv4 in IPv6", func(a *state.APIToken) { a.AllowFrom = []netip.Prefix{block("192.0.2.0/24")} }, 0, "::ffff:192.0.2.1", nil},
		{"allow: IPv6 inside", func(a *state.APIToken) { a.AllowFrom = []netip.Prefix{block("2001:db8::/32")} }, 0, "2001:db8:1::1", nil},
		{"allow: IPv6 with a zone", func(a *state.APIToken) { a.AllowFrom = []netip.Prefix{block("fe80::/10")} }, 0, "fe80::1%eth0", nil},
		{"allow: IPv6 outside", func(a *state.APIToken) { a.AllowFrom = []netip.Prefix{block("2001:db8::/32")} }, 0, "2001:db9::1", state.ErrAddressAPIToken},
		{"allow: an address that is not known", func(a *state.APIToken) { a.AllowFrom = []netip.Prefix{block("0.0.0.0/0"), block("::/0")} }, 0, "", state.ErrAddressAPIToken},
		{"deny: inside", func(a *state.APIToken) { a.DenyFrom = []netip.Prefix{block("192.0.2.0/24")} }, 0, "192.0.2.1", state.ErrAddressAPIToken},
		{"deny: outside", func(a *state.APIToken) { a.DenyFrom = []netip.Prefix{block("192.0.2.0/24")} }, 0, "192.0.3.1", nil},
		{"deny goes before allow", func(a *state.APIToken) {
			a.AllowFrom, a.DenyFrom = []netip.Prefix{block("192.0.2.0/24")}, []netip.Prefix{block("192.0.2.1/32")}
		}, 0, "192.0.2.1", state.ErrAddressAPIToken},
	} {
		t.Run(row.name, func(t *testing.T) {
			wish := ask("ann")
			row.limit(&wish)
			token, _, err := tokens.Create(t.Context(), wish)
			must(t, err)
			start := c.Now()
			c.Advance(row.before)
			defer func() { c.Advance(start.Sub(c.Now())) }()
			var from netip.Addr
			if row.from != "" {
				from = netip.MustParseAddr(row.from)
			}
			if _, err := exchangeFrom(t.Context(), tokens, token, from); !errors.Is(err, row.want) {
				t.Errorf("%v, want %v", err, row.want)
			}
		})
	}
}

func TestCreateRefusesLimitsThatMakeNoSense(t *testing.T) {
	c := newClock()
	many := make([]netip.Prefix, 33)
	for i := range many {
		many[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32)
	}
	for name, change := range map[string]func(*state.APITokens, *state.APIToken){
		"never, where that is not allowed": func(_ *state.APITokens, a *state.APIToken) { a.NoExpiry = true },
		"never, and an expiry": func(s *state.APITokens, a *state.APIToken) {
			s.AllowNever, a.NoExpiry, a.Expires = true, true, c.Now().Add(time.Hour)
		},
		"over before it begins":          func(_ *state.APITokens, a *state.APIToken) { a.NotBefore = c.Now().Add(91 * 24 * time.Hour) },
		"too many blocks":                func(_ *state.APITokens, a *state.APIToken) { a.AllowFrom = many },
		"too many blocks, of both kinds": func(_ *state.APITokens, a *state.APIToken) { a.AllowFrom, a.DenyFrom = many[:20], many[20:] },
		"a block that is none":           func(_ *state.APITokens, a *state.APIToken) { a.DenyFrom = []netip.Prefix{{}} },
		"an IPv4 block written as IPv6":  func(_ *state.APITokens, a *state.APIToken) { a.DenyFrom = []netip.Prefix{block("::ffff:1.2.3.4/128")} },
		"a rate of nothing":              func(_ *state.APITokens, a *state.APIToken) { a.Rate.Per = time.Second },
		"a rate over two days":           func(_ *state.APITokens, a *state.APIToken) { a.Rate = verify.Rate{N: 1, Per: 48 * time.Hour} },
		"a rate, where none is counted": func(s *state.APITokens, a *state.APIToken) {
			s.Rates, a.Rate = nil, verify.Rate{N: 1, Per: time.Second}
		},
		"a quota of parts of a second":       func(_ *state.APITokens, a *state.APIToken) { a.Quota = verify.Rate{N: 1, Per: 1500 * time.Millisecond} },
		"a note that is too long":            func(_ *state.APITokens, a *state.APIToken) { a.Note = strings.Repeat("n", 1025) },
		"a note with a line end":             func(_ *state.APITokens, a *state.APIToken) { a.Note = "a\nb" },
		"made by a name with a control code": func(_ *state.APITokens, a *state.APIToken) { a.CreatedBy = "\x00" },
	} {
		tokens, _ := newAPITokens(newMemory(t, c.Now), c)
		a := ask("ann")
		change(&tokens, &a)
		if _, _, err := tokens.Create(t.Context(), a); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
	}
}

// What an owner may have is asked when a token is made, and at each exchange.
func TestScopeIsWhatTheOwnerMayHaveNow(t *testing.T) {
	c := newClock()
	tokens, _ := newAPITokens(newMemory(t, c.Now), c)
	allowed, answer := verify.Scope{"read", "write"}, error(nil)
	tokens.OwnerScope = func(_ context.Context, owner, service string) (verify.Scope, error) {
		if owner != "ann" || service != "https://api.example" {
			t.Errorf("asked for %q at %q", owner, service)
		}
		return allowed, answer
	}
	wish := ask("ann")
	wish.Scope = verify.Scope{"read", "admin"}
	if _, _, err := tokens.Create(t.Context(), wish); !errors.Is(err, state.ErrNotAllowed) || !errors.Is(err, state.ErrInvalid) {
		t.Errorf("more than the owner may have: %v, want ErrNotAllowed and ErrInvalid", err)
	}
	wish.Scope = verify.Scope{"write", "read"}
	token, _, err := tokens.Create(t.Context(), wish)
	must(t, err)
	for _, row := range []struct {
		name    string
		allowed verify.Scope
		answer  error
		want    string
		err     error
	}{
		{"as much as before", verify.Scope{"read", "write"}, nil, "write read", nil},
		{"less", verify.Scope{"read"}, nil, "read", nil},
		{"nothing", nil, nil, "", nil},
		{"more", verify.Scope{"read", "write", "admin"}, nil, "write read", nil},
		{"not this owner", nil, state.ErrNotAllowed, "", state.ErrOwnerAPIToken},
		{"nobody knows", nil, store.ErrUnavailable, "", store.ErrUnavailable},
	} {
		allowed, answer = row.allowed, row.answer
		got, err := exchange(t.Context(), tokens, token)
		if !errors.Is(err, row.err) || err == nil && got.Scope.String() != row.want {
			t.Errorf("%s: scope %q, %v, want %q, %v", row.name, got.Scope, err, row.want, row.err)
		}
		if row.name == "nobody knows" && errors.Is(err, state.ErrBadAPIToken) {
			t.Error("an outage passes for a bad token")
		}
	}
	answer = state.ErrNotAllowed
	if _, _, err := tokens.Create(t.Context(), wish); !errors.Is(err, state.ErrNotAllowed) {
		t.Errorf("made for an owner who may have none: %v", err)
	}
}

func TestRateOfExchanges(t *testing.T) {
	c := newClock()
	tokens, _ := newAPITokens(newMemory(t, c.Now), c)
	wish := ask("ann")
	wish.Rate = mustRate(t, "3/1m")
	token, _, err := tokens.Create(t.Context(), wish)
	must(t, err)
	for range 3 {
		_, err := exchange(t.Context(), tokens, token)
		must(t, err)
	}
	_, err = exchange(t.Context(), tokens, token)
	limited, ok := errors.AsType[*state.LimitedError](err)
	if !ok || limited.RetryAfter != 20*time.Second || errors.Is(err, state.ErrBadAPIToken) {
		t.Fatalf("the fourth: %v, want a limit for 20s", err)
	}
	c.Advance(limited.RetryAfter)
	if _, err := exchange(t.Context(), tokens, token); err != nil {
		t.Errorf("when it was told to come back: %v", err)
	}
	// A check that is not followed by a use takes nothing.
	c.Advance(20 * time.Second)
	for range 5 {
		if _, _, err := tokens.CheckUse(t.Context(), token, home); err != nil {
			t.Fatalf("a check: %v", err)
		}
	}
}

// The quota is exact, at two nodes and under races, and holds on when a write fails.
func TestQuotaIsExactUnderRaces(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, node func() store.Store, c *clock) {
		one, _ := newAPITokens(node(), c)
		other, _ := newAPITokens(node(), c)
		nodes := []state.APITokens{one, other}
		wish := ask("ann")
		wish.Quota = mustRate(t, "7/1h")
		token, made, err := one.Create(t.Context(), wish)
		must(t, err)
		var passed atomic.Int32
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				_, err := exchange(t.Context(), nodes[i%2], token)
				if err == nil {
					passed.Add(1)
				} else if _, ok := errors.AsType[*state.LimitedError](err); !ok {
					t.Errorf("error %v, want a limit", err)
				}
			})
		}
		wg.Wait()
		if n := passed.Load(); n != 7 {
			t.Errorf("%d exchanges, want 7", n)
		}
		if got, err := one.Load(t.Context(), made.ID); err != nil || got.QuotaUsed != 7 || got.Uses != 7 {
			t.Errorf("%d of the quota, %d uses, %v, want 7", got.QuotaUsed, got.Uses, err)
		}
		c.Advance(time.Hour)
		for range 7 {
			if _, err := exchange(t.Context(), other, token); err != nil {
				t.Errorf("in the next hour: %v", err)
			}
		}
		if _, err := exchange(t.Context(), one, token); err == nil {
			t.Error("one more than the quota of the next hour")
		}
	})
}

func TestQuotaThatCannotBeWrittenIsNoExchange(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	tokens, _ := newAPITokens(f, c)
	wish := ask("ann")
	wish.Quota, wish.Rate = mustRate(t, "1/1h"), mustRate(t, "1/1h")
	token, made, err := tokens.Create(t.Context(), wish)
	must(t, err)
	f.FailNext(1, "Swap", storetest.Away)
	if _, err := exchange(t.Context(), tokens, token); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v, want store.ErrUnavailable", err)
	}
	// Revoked between the check and the use.
	_, version, err := tokens.CheckUse(t.Context(), token, home)
	must(t, err)
	must(t, tokens.Revoke(t.Context(), made.ID, ""))
	if err := tokens.Use(t.Context(), version, home); !errors.Is(err, state.ErrRevokedAPIToken) {
		t.Errorf("%v, want ErrRevokedAPIToken", err)
	}
	if got, err := tokens.Load(t.Context(), made.ID); err != nil || got.QuotaUsed != 0 {
		t.Errorf("%d of the quota is used, %v, want nothing", got.QuotaUsed, err)
	}
}

// Uses are counted although they are written once a minute, and so are the addresses they are from.
func TestUsesAreCounted(t *testing.T) {
	c := newClock()
	tokens, _ := newAPITokens(newMemory(t, c.Now), c)
	token, made := mustCreate(t, tokens, "ann")
	for i := range 12 {
		_, err := exchangeFrom(t.Context(), tokens, token, netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::%x", i%10, i)))
		must(t, err)
		c.Advance(10 * time.Second)
	}
	_, err := exchangeFrom(t.Context(), tokens, token, home)
	must(t, err)
	got, err := tokens.Load(t.Context(), made.ID)
	must(t, err)
	if got.Uses != 13 || got.LastAddress != home || len(got.UsedFrom) != 8 || !slices.Contains(got.UsedFrom, block("192.0.2.1/32")) ||
		!slices.Contains(got.UsedFrom, block("2001:db8:0:9::/64")) {
		t.Errorf("%d uses, the last from %s, lately from %v", got.Uses, got.LastAddress, got.UsedFrom)
	}
}

// A record of the version before this one still says the same.
func TestOldRecordOfAnAPITokenIsRead(t *testing.T) {
	c := newClock()
	tokens, _ := newAPITokens(newMemory(t, c.Now), c)
	token := state.FormatAPIToken("demo", "4oK2iTqQ0Zl7", strings.Repeat("s", 43))
	hash, _ := json.Marshal(record.Hash(token))
	old := fmt.Sprintf(`{"id":"4oK2iTqQ0Zl7","name":"ci","owner":"ann","service":"https://api.example","scope":"orders:read","created":%q,"expires":%q,"last_used":%q,"hash":%s}`,
		c.Now().Format(time.RFC3339), c.Now().Add(time.Hour).Format(time.RFC3339), c.Now().Format(time.RFC3339), hash)
	must(t, tokens.Store.Insert(t.Context(), store.Record{Kind: "api_token", ID: "4oK2iTqQ0Zl7", Data: []byte(old), Expires: c.Now().Add(time.Hour)}))
	got, err := exchange(t.Context(), tokens, token)
	if err != nil || got.Owner != "ann" || got.Scope.String() != "orders:read" || got.GrantID() != got.ID {
		t.Errorf("%+v, %v", got, err)
	}
	c.Advance(time.Hour)
	if _, err := exchange(t.Context(), tokens, token); !errors.Is(err, state.ErrBadAPIToken) {
		t.Errorf("when it has expired: %v", err)
	}
}

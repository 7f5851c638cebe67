package state_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// listen notes the events of tokens, each in a word or two.
func listen(tokens *state.APITokens) *[]string {
	heard := new([]string)
	tokens.Event = func(_ context.Context, e state.APITokenEvent) {
		what := e.What
		if e.Reason != "" {
			what += " " + e.Reason
		}
		if e.Left > 0 {
			what += " " + e.Left.String()
		}
		*heard = append(*heard, what)
	}
	return heard
}

func wantEvents(t *testing.T, heard *[]string, want ...string) {
	t.Helper()
	if !slices.Equal(*heard, want) {
		t.Errorf("heard %q, want %q", *heard, want)
	}
	*heard = nil
}

func TestEventsOfAPITokens(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	tokens, _ := newAPITokens(f, c)
	heard := listen(&tokens)
	use := func(token, from string) { _, _ = exchangeFrom(t.Context(), tokens, token, netip.MustParseAddr(from)) }

	wish := ask("ann")
	wish.DenyFrom = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	wish.Rate = verify.Rate{N: 4, Per: time.Hour}
	token, made, err := tokens.Create(t.Context(), wish)
	must(t, err)
	wantEvents(t, heard, "created")
	use(token, "192.0.2.1") // the first address is not a new one
	use(token, "192.0.2.1")
	wantEvents(t, heard)
	use(token, "2001:db8::1") // it is told when it is written
	wantEvents(t, heard)
	c.Advance(time.Minute)
	use(token, "2001:db8::2")
	wantEvents(t, heard, "used_from_new_address")
	use(token, "192.0.2.1")
	wantEvents(t, heard, "limited rate")
	use(token, "10.1.2.3")
	wantEvents(t, heard, "denied address")

	for _, junk := range []string{"x", token + "x", state.FormatAPIToken("demo", made.ID, strings.Repeat("x", 43))} {
		use(junk, "192.0.2.1")
	}
	wantEvents(t, heard) // whoever knows no secret is no event

	_, _, err = tokens.Roll(t.Context(), made.ID, 0)
	must(t, err)
	use(token, "192.0.2.1")
	wantEvents(t, heard, "rolled", "denied old_secret")
	for range 2 {
		must(t, tokens.Revoke(t.Context(), made.ID, "lost"))
	}
	wantEvents(t, heard, "revoked lost")
	use(token, "192.0.2.1")
	wantEvents(t, heard, "denied old_secret")

	f.Fail(away("Insert", "Swap"))
	_, _, _ = tokens.Create(t.Context(), ask("ann"))
	wantEvents(t, heard) // nothing has happened
}

// Each token is told of at 60, 30, 7 days and one before its end, and at its end, once; by one
// node.
func TestWatchRemindsOnce(t *testing.T) {
	c := newClock()
	s := newMemory(t, c.Now)
	tokens, _ := newAPITokens(s, c)
	other, _ := newAPITokens(s, c)
	tokens.AllowNever, tokens.MaxPerUser = true, 0
	heard := listen(&tokens)
	other.Event = tokens.Event
	for _, days := range []int{90, 30, 1} {
		wish := ask("ann")
		wish.Expires = c.Now().Add(time.Duration(days) * 24 * time.Hour)
		_, _, err := tokens.Create(t.Context(), wish)
		must(t, err)
	}
	never := ask("ann")
	never.NoExpiry = true
	_, _, err := tokens.Create(t.Context(), never)
	must(t, err)
	_, gone := mustCreate(t, tokens, "ann")
	must(t, tokens.Revoke(t.Context(), gone.ID, ""))
	*heard = nil
	pause := func(context.Context) error { return nil }
	got := map[int][]string{}
	for range 95 * 24 * 4 {
		for _, node := range []state.APITokens{tokens, other} {
			must(t, node.Watch(t.Context(), pause))
		}
		if len(*heard) > 0 {
			day := int(c.Now().Sub(gone.Created) / (24 * time.Hour))
			got[day] = append(got[day], *heard...)
			*heard = nil
		}
		c.Advance(state.WatchEvery)
	}
	for day, want := range map[int][]string{
		1: {"expired"}, 23: {"expiring 168h0m0s"}, 29: {"expiring 24h0m0s"}, 30: {"expired", "expiring 1440h0m0s"},
		60: {"expiring 720h0m0s"}, 83: {"expiring 168h0m0s"}, 89: {"expiring 24h0m0s"}, 90: {"expired"},
	} {
		slices.Sort(got[day])
		if !slices.Equal(got[day], want) {
			t.Errorf("on day %d: %q, want %q", day, got[day], want)
		}
		delete(got, day)
	}
	if len(got) > 0 {
		t.Errorf("and besides %v", got)
	}
	stop := errors.New("stop")
	if err := tokens.Watch(t.Context(), func(context.Context) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v, want the error of the pause", err)
	}
}

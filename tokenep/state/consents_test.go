package state_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
)

func newConsents(s store.Store, c *clock) (state.Consents, state.Codes, *verify.Revocations) {
	codes, set := newCodes(s, c)
	return state.Consents{Store: s, Families: codes.Families, Now: c.Now}, codes, set
}

// codeOf makes a code for a scope at these resources.
func codeOf(t *testing.T, codes state.Codes, subject, client, scope string, audience ...string) (string, state.Code) {
	t.Helper()
	a := aCode()
	a.Subject, a.ClientID, a.Scope, a.Audience = subject, client, strings.Fields(scope), audience
	text, made, err := codes.Issue(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return text, made
}

func asks(scope string, audience ...string) state.Allowed {
	return state.Allowed{Scope: strings.Fields(scope), Audience: audience}
}

// What a person need not be asked again: all of it was allowed, each scope at each resource.
func TestConsentIncludes(t *testing.T) {
	for name, row := range map[string]struct {
		allowed []state.Allowed
		asked   state.Allowed
		want    bool
	}{
		"the same":                       {[]state.Allowed{asks("a b", "x")}, asks("b a", "x"), true},
		"less scope":                     {[]state.Allowed{asks("a b", "x")}, asks("a", "x"), true},
		"no scope":                       {[]state.Allowed{asks("a b", "x")}, asks("", "x"), true},
		"fewer resources":                {[]state.Allowed{asks("a", "x", "y")}, asks("a", "y"), true},
		"more scope":                     {[]state.Allowed{asks("a", "x")}, asks("a b", "x"), false},
		"more resources":                 {[]state.Allowed{asks("a", "x")}, asks("a", "x", "y"), false},
		"a resource in place of none":    {[]state.Allowed{asks("a")}, asks("a", "x"), false},
		"none in place of a resource":    {[]state.Allowed{asks("a", "x")}, asks("a"), false},
		"none":                           {[]state.Allowed{asks("a")}, asks("a"), true},
		"two answers at one resource":    {[]state.Allowed{asks("a", "x"), asks("b", "x", "y")}, asks("a b", "x"), true},
		"two answers at two resources":   {[]state.Allowed{asks("a", "x"), asks("b", "y")}, asks("a b", "x", "y"), false},
		"the scope of another resource":  {[]state.Allowed{asks("a", "x"), asks("b", "y")}, asks("b", "x"), false},
		"no scope at another resource":   {[]state.Allowed{asks("", "x")}, asks("", "y"), false},
		"nothing was allowed":            {nil, asks(""), false},
		"nothing was allowed, or almost": {[]state.Allowed{asks("")}, asks(""), true},
	} {
		if got := (state.Consent{Allowed: row.allowed}).Includes(row.asked); got != row.want {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
	}
}

func TestConsents(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		ctx := t.Context()
		consents, codes, set := newConsents(s, c)
		find := func(subject, client, registration string) state.Consent {
			t.Helper()
			got, err := consents.Find(ctx, subject, client, registration)
			if err != nil && !errors.Is(err, state.ErrUnknown) {
				t.Errorf("Find: %v", err)
			}
			return got
		}
		if got := find("ann", "web", ""); got.Includes(asks("")) {
			t.Errorf("%+v before anything was allowed", got)
		}
		_, early := codeOf(t, codes, "ann", "web", "a", "x")
		if err := consents.Repeat(ctx, early, true); !errors.Is(err, state.ErrRevoked) {
			t.Errorf("Repeat: %v", err)
		}

		text, first := codeOf(t, codes, "ann", "web", "a", "x")
		if err := consents.Allow(ctx, first, true); err != nil {
			t.Fatalf("Allow: %v", err)
		}
		redeemed, err := redeem(ctx, codes, text, anyCode)
		if err != nil {
			t.Fatal(err)
		}
		token, _, err := codes.Families.Start(ctx, fromCode(redeemed))
		if err != nil {
			t.Fatal(err)
		}
		c.Advance(time.Hour)
		unspent, second := codeOf(t, codes, "ann", "web", "a", "x")
		if err := consents.Repeat(ctx, second, true); err != nil {
			t.Errorf("Repeat: %v", err)
		}
		_, third := codeOf(t, codes, "ann", "web", "a b", "x")
		if err := consents.Repeat(ctx, third, true); !errors.Is(err, state.ErrRevoked) {
			t.Errorf("Repeat of more: %v", err)
		}
		for _, other := range [][2]string{{"bob", "web"}, {"ann", "other"}} {
			_, code := codeOf(t, codes, other[0], other[1], "a", "x")
			if err := consents.Allow(ctx, code, false); err != nil {
				t.Errorf("Allow: %v", err)
			}
		}
		got := find("ann", "web", "")
		if !got.Created.Equal(first.Created) || !got.Used.Equal(second.Created) || got.Subject != "ann" || got.ClientID != "web" || len(got.Allowed) != 1 {
			t.Errorf("%+v", got)
		}
		if find("ann", "web", "R").Subject != "" || find("ann", "we", "").Subject != "" || find("an", "web", "").Subject != "" {
			t.Error("it is that of another registration, client or person too")
		}

		// What came of it ends; a code that nobody has used yet, too.
		if err := consents.Revoke(ctx, "ann", "web"); err != nil {
			t.Fatalf("Revoke: %v", err)
		}
		if find("ann", "web", "").Subject != "" || !find("bob", "web", "").Includes(asks("a", "x")) || !find("ann", "other", "").Includes(asks("a", "x")) {
			t.Error("it is remembered, or another is not")
		}
		if _, _, err := refresh(ctx, codes.Families, token, anyFamily); !errors.Is(err, state.ErrRevoked) {
			t.Errorf("refresh: %v", err)
		}
		if !set.Revoked(accessToken(first.Family)) || !set.Revoked(accessToken(second.Family)) || set.Revoked(accessToken(third.Family)) {
			t.Error("not exactly its access tokens are revoked")
		}
		if _, err := redeem(ctx, codes, unspent, anyCode); !errors.Is(err, state.ErrRevoked) {
			t.Errorf("redeem: %v", err)
		}
		for _, client := range []string{"web", "nothing"} {
			if err := consents.Revoke(ctx, "ann", client); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Revoke again: %v", err)
			}
		}

		// It can be allowed again, and by a client that was registered anew.
		_, again := codeOf(t, codes, "ann", "web", "b", "x")
		again.RegistrationID = "R"
		if err := consents.Allow(ctx, again, true); err != nil {
			t.Errorf("Allow: %v", err)
		}
		if find("ann", "web", "").Subject != "" || find("ann", "web", "R").Includes(asks("a", "x")) || !find("ann", "web", "R").Includes(asks("b", "x")) {
			t.Error("one registration has the consent of another")
		}
		again.RegistrationID, again.Scope = "S", verify.Scope{"c"}
		if err := consents.Allow(ctx, again, true); err != nil || find("ann", "web", "S").Includes(asks("b", "x")) || !find("ann", "web", "S").Includes(asks("c", "x")) {
			t.Errorf("Allow: %v; %+v", err, find("ann", "web", "S"))
		}
	})
}

func anyFamily(state.Family) error { return nil }

// The record of a person and a client has a bound.
func TestConsentsAreBounded(t *testing.T) {
	c := newClock()
	s := newMemory(t, c.Now)
	consents, codes, set := newConsents(s, c)
	texts := make(map[string]string) // of codes, by their families
	allow := func(scope string, refreshes bool, audience ...string) state.Code {
		t.Helper()
		text, code := codeOf(t, codes, "ann", "web", scope, audience...)
		if err := consents.Allow(t.Context(), code, refreshes); err != nil {
			t.Fatal(err)
		}
		texts[code.Family] = text
		return code
	}
	find := func() state.Consent {
		t.Helper()
		got, err := consents.Find(t.Context(), "ann", "web", "")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := allow("s0", true, "x")
	used := allow("s0 s1", true, "x", "y")
	if got := find(); len(got.Allowed) != 1 {
		t.Errorf("what is included in a later answer stays: %+v", got.Allowed)
	}
	for i := range state.MaxAllowed {
		allow(fmt.Sprintf("t%d", i), true, "x")
	}
	if got := find(); len(got.Allowed) != state.MaxAllowed || got.Includes(asks("s0", "x")) || !got.Includes(asks("t0 t7", "x")) {
		t.Errorf("%+v", got.Allowed)
	}
	for range state.MaxGrants - state.MaxAllowed - 3 {
		allow("t0", true, "x")
	}
	repeat := func() error {
		_, code := codeOf(t, codes, "ann", "web", "t0", "x")
		return consents.Repeat(t.Context(), code, true)
	}
	if err := repeat(); err != nil {
		t.Errorf("Repeat: %v", err)
	}
	// Then the person is asked, and nothing ends before.
	if _, err := consents.Find(t.Context(), "ann", "web", ""); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("Find: %v", err)
	}
	if err := repeat(); !errors.Is(err, state.ErrRevoked) || set.Revoked(accessToken(first.Family)) {
		t.Errorf("Repeat: %v", err)
	}
	second := allow("t0", false, "x")
	if !set.Revoked(accessToken(first.Family)) || set.Revoked(accessToken(second.Family)) {
		t.Error("the oldest is not ended")
	}
	// Codes of which nothing came make room before anything is ended.
	_, version, err := codes.Check(t.Context(), texts[used.Family], anyCode)
	must(t, err)
	_, _, err = codes.Redeem(t.Context(), version, fromCode(used))
	must(t, err)
	c.Advance(state.DefaultCodeLife + state.MaxCodeLife)
	allow("t0", false, "x")
	if set.Revoked(accessToken(used.Family)) {
		t.Error("one that is in use was ended")
	}
	if list, err := s.List(t.Context(), "consent", "", "", 1); err != nil || strings.Count(string(list[0].Data), `"ends"`) != 3 {
		t.Errorf("%s, %v", list[0].Data, err)
	}
	// What has expired is not listed any more, and takes no room.
	c.Advance(26 * time.Hour)
	last := allow("t0", true, "x")
	if set.Revoked(accessToken(last.Family)) {
		t.Error("ended")
	}
	record, err := s.List(t.Context(), "consent", "", "", 1)
	if err != nil || len(record) != 1 || strings.Count(string(record[0].Data), `"ends"`) != 1 || !record[0].Expires.Equal(c.Now().Add(state.ConsentLife)) {
		t.Errorf("%v, %v", record, err)
	}
}

// A crash in the middle is no loss: the call can be repeated. A code that is given meanwhile ends.
func TestRevokeConsentWhileOthersWrite(t *testing.T) {
	c := newClock()
	memory := newMemory(t, c.Now)
	s := storetest.NewFaulty(memory)
	consents, codes, set := newConsents(s, c)
	elsewhere, _, _ := newConsents(memory, c)
	_, first := codeOf(t, codes, "ann", "web", "a")
	if err := consents.Allow(t.Context(), first, true); err != nil {
		t.Fatal(err)
	}
	s.Fail(func(call storetest.Call) storetest.Fault {
		if call.Verb == "Swap" && call.Kind == "consent" {
			return storetest.Away
		}
		return storetest.None
	})
	if err := consents.Revoke(t.Context(), "ann", "web"); !errors.Is(err, store.ErrUnavailable) || !set.Revoked(accessToken(first.Family)) {
		t.Errorf("Revoke: %v", err)
	}
	_, second := codeOf(t, codes, "ann", "web", "a")
	raced := false
	s.Fail(func(call storetest.Call) storetest.Fault {
		if call.Verb == "Swap" && call.Kind == "consent" && !raced {
			raced = true
			if err := elsewhere.Repeat(t.Context(), second, true); err != nil {
				t.Errorf("Repeat: %v", err)
			}
		}
		return storetest.None
	})
	if err := consents.Revoke(t.Context(), "ann", "web"); err != nil || !raced || !set.Revoked(accessToken(second.Family)) {
		t.Errorf("Revoke: %v; raced: %v, ended: %v", err, raced, set.Revoked(accessToken(second.Family)))
	}
}

func TestConsentsAreListed(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		consents, codes, _ := newConsents(s, c)
		for _, pair := range []string{"ann web", "ann app", "ann gone", "bob web"} {
			subject, client, _ := strings.Cut(pair, " ")
			_, code := codeOf(t, codes, subject, client, "a")
			if err := consents.Allow(t.Context(), code, false); err != nil {
				t.Fatal(err)
			}
		}
		if err := consents.Revoke(t.Context(), "ann", "gone"); err != nil {
			t.Fatal(err)
		}
		for subject, want := range map[string][]string{"": {"ann app", "ann web", "bob web"}, "ann": {"ann app", "ann web"}, "an": nil} {
			var got []string
			for after, more := "", true; more; more = after != "" {
				page, next, err := consents.List(t.Context(), subject, after, 2)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range page {
					got = append(got, c.Subject+" "+c.ClientID)
				}
				after = next
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("of %q: %q, want %q", subject, got, want)
			}
		}
	})
}

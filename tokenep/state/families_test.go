package state_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
)

var errCheck = errors.New("not this client's")

func anyone(state.Family) error { return nil }
func nobody(state.Family) error { return errCheck }
func aFamily() state.Family {
	return state.Family{ClientID: "web", Subject: "ann", Scope: verify.Scope{"orders"}}
}
func testMAC() *state.RefreshMAC  { return mustRefreshMAC(testKey()) }
func testKey() []byte             { return bytes.Repeat([]byte{7}, 32) }
func day(n int) time.Duration     { return time.Duration(n) * 24 * time.Hour }
func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }

// newFamilies returns families with the default grace, an hour from use to use, and a day at most.
func newFamilies(s store.Store, c *clock) (state.Families, *verify.Revocations) {
	set := new(verify.Revocations)
	return state.Families{
		Store: s, Revocations: state.NewRevocations(s, set, c.Now, slog.New(slog.DiscardHandler)),
		MAC: testMAC(), Idle: time.Hour, Absolute: day(1), TokenLife: always(minutes(10)), Now: c.Now,
	}, set
}

func mustRefreshMAC(key []byte) *state.RefreshMAC {
	mac, err := state.NewRefreshMAC(key)
	if err != nil {
		panic(err)
	}
	return mac
}

func mustStart(t testing.TB, s state.Families) (string, state.Family) {
	t.Helper()
	token, f, err := s.Start(t.Context(), aFamily())
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	return token, f
}

func mustRotate(t testing.TB, s state.Families, token string) string {
	t.Helper()
	next, _, err := refresh(t.Context(), s, token, anyone)
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	return next
}

// wantRotate rotates and holds the outcome against what is expected; nil: it works.
func wantRotate(t testing.TB, s state.Families, token string, want error) string {
	t.Helper()
	next, _, err := refresh(t.Context(), s, token, anyone)
	if !errors.Is(err, want) || (want != nil && next != "") {
		t.Errorf("Rotate: %v, want %v", err, want)
	}
	return next
}

// RFC 6749 §6, RFC 9700 §4.14.2: one line of tokens, each from the one before.
func TestRotateGivesAnotherTokenOfTheSameFamily(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, _ := newFamilies(s, c)
		token, made := mustStart(t, families)
		seen := map[string]bool{token: true}
		for range 5 {
			c.Advance(minutes(1))
			next := mustRotate(t, families, token)
			f, err := families.Inspect(t.Context(), next)
			if err != nil {
				t.Fatal(err)
			}
			if seen[next] {
				t.Error("a token was given before")
			}
			if f.ID != made.ID || f.ClientID != "web" || f.Subject != "ann" || f.Scope.String() != "orders" {
				t.Errorf("another family: %+v", f)
			}
			if !f.Ends.Equal(made.Ends) || !f.Expires.Equal(c.Now().Add(time.Hour)) || !f.Rotated.Equal(c.Now()) {
				t.Errorf("ends %v, expires %v, rotated %v", f.Ends, f.Expires, f.Rotated)
			}
			if record, err := s.Load(t.Context(), "family", f.ID); err != nil || !isKept(record, f.Expires) {
				t.Errorf("the engine may drop it at %v, %v, want %v or a little later", record.Expires, err, f.Expires)
			}
			seen[next], token = true, next
		}
	})
}

// RFC 9700 §4.14.2, step by step: what is done, with which of the family's tokens, after which
// time, and what comes of it.
func TestRotationRules(t *testing.T) {
	const grace = state.DefaultGrace
	type step struct {
		after time.Duration
		token int // 0: the first, 1: its successor, …
		want  error
	}
	for name, steps := range map[string][]step{
		"the newest, again and again":               {{0, 0, nil}, {0, 1, nil}, {0, 2, nil}, {0, 3, nil}},
		"the one before, in its grace":              {{0, 0, nil}, {0, 0, nil}, {grace, 0, nil}, {0, 1, nil}},
		"the one before, after its grace":           {{0, 0, nil}, {grace + 1e6, 0, state.ErrReused}, {0, 1, state.ErrRevoked}},
		"using the successor ends the grace":        {{0, 0, nil}, {0, 1, nil}, {0, 0, state.ErrReused}, {0, 2, state.ErrRevoked}},
		"a grace answer does not prolong the grace": {{0, 0, nil}, {grace, 0, nil}, {1e6, 0, state.ErrReused}},
		"an old one":                     {{0, 0, nil}, {0, 1, nil}, {0, 1, nil}, {0, 0, state.ErrReused}, {0, 2, state.ErrRevoked}},
		"unused for as long as one may":  {{time.Hour, 0, state.ErrExpired}},
		"used just in time":              {{time.Hour - 1e6, 0, nil}, {time.Hour - 1e6, 1, nil}, {time.Hour, 2, state.ErrExpired}},
		"expired is not reused":          {{0, 0, nil}, {time.Hour, 0, state.ErrExpired}, {0, 1, state.ErrExpired}},
		"newer than the store remembers": {{0, 3, nil}, {0, 3, nil}, {0, 4, nil}, {0, 0, state.ErrReused}, {0, 5, state.ErrRevoked}},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
				families, set := newFamilies(s, c)
				first, f := mustStart(t, families)
				token := func(n int) string { return state.ForgeRefreshToken(testKey(), first, uint64(n+1)) }
				reused := false
				for _, step := range steps {
					c.Advance(step.after)
					next := wantRotate(t, families, token(step.token), step.want)
					if step.want == nil && next != token(step.token+1) {
						t.Error("not the successor of what was presented")
					}
					reused = reused || errors.Is(step.want, state.ErrReused)
				}
				if got := set.Revoked(accessToken(f.ID)); got != reused {
					t.Errorf("access tokens revoked: %v, want %v", got, reused)
				}
			})
		})
	}
}

func TestGraceCanBeTurnedOff(t *testing.T) {
	c := newClock()
	families, _ := newFamilies(newMemory(t, c.Now), c)
	families.Grace = -1
	token, _ := mustStart(t, families)
	mustRotate(t, families, token)
	wantRotate(t, families, token, state.ErrReused)
}

// isKept reports whether a record is kept for as long as a family lives, and not much longer.
func isKept(r store.Record, expires time.Time) bool {
	return !r.Expires.Before(expires) && !r.Expires.After(expires.Add(time.Hour/10))
}

// RFC 9700 §4.14.2: rotation goes on for as long as the user was told at the start, and no longer.
func TestAbsoluteLifetimeIsNotExtended(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, _ := newFamilies(s, c)
		token, made := mustStart(t, families)
		for c.Now().Before(made.Ends) {
			token = mustRotate(t, families, token)
			c.Advance(minutes(45))
		}
		wantRotate(t, families, token, state.ErrExpired)
		if lived := c.Now().Sub(made.Started); lived < day(1) || lived > day(1)+time.Hour {
			t.Errorf("it lived for %v, want a day", lived)
		}
		record, err := s.Load(t.Context(), "family", made.ID)
		if err == nil && record.Expires.After(made.Ends) {
			t.Errorf("the record stays until %v, the family ended at %v", record.Expires, made.Ends)
		}
	})
}

// RFC 6749 §6: the token of another client is refused, and nothing comes of it, whatever its
// generation.
func TestRefusedCheckSpendsAndRevokesNothing(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, set := newFamilies(s, c)
		old, f := mustStart(t, families)
		before := mustRotate(t, families, old)
		newest := mustRotate(t, families, before)
		was, err := s.Load(t.Context(), "family", f.ID)
		if err != nil {
			t.Fatal(err)
		}
		for name, token := range map[string]string{"old": old, "before": before, "newest": newest} {
			next, got, err := refresh(t.Context(), families, token, nobody)
			if !errors.Is(err, errCheck) || next != "" || got.ID != f.ID {
				t.Errorf("%s: %q, %v, want the check's own error", name, next, err)
			}
			if err := families.RevokeToken(t.Context(), token, nobody); !errors.Is(err, errCheck) {
				t.Errorf("%s: RevokeToken: %v, want the check's own error", name, err)
			}
		}
		if is, err := s.Load(t.Context(), "family", f.ID); err != nil || is.Version != was.Version {
			t.Errorf("version %d became %d, %v", was.Version, is.Version, err)
		}
		if set.Revoked(accessToken(f.ID)) {
			t.Error("the access tokens are revoked")
		}
		mustRotate(t, families, newest)
	})
}

// The check sees the version that is replaced: when that has changed, it is asked again.
func TestCheckRunsOnTheVersionThatIsReplaced(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		families, _ := newFamilies(s, c)
		token, _ := mustStart(t, families)
		calls := 0
		next, _, err := refresh(t.Context(), families, token, func(f state.Family) error {
			if calls++; calls == 1 {
				mustRotate(t, families, token) // somebody else is faster
			} else if f.Rotated.IsZero() {
				t.Error("the second check sees the version of the first")
			}
			return nil
		})
		if err != nil || calls != 2 || next != state.ForgeRefreshToken(testKey(), token, 2) {
			t.Errorf("%d checks, %v: want two, and the successor in its grace", calls, err)
		}

		calls = 0
		_, _, err = refresh(t.Context(), families, next, func(f state.Family) error {
			if calls++; calls == 1 {
				if err := families.Revoke(t.Context(), f.ID); err != nil {
					t.Fatal(err)
				}
			}
			return nil
		})
		if !errors.Is(err, state.ErrRevoked) {
			t.Errorf("revoked during the check: %v, want ErrRevoked", err)
		}
	})
}

// The windows of one browser all refresh at once, with one token, and reach two nodes.
func TestFiftyConcurrentRefreshesAllSucceed(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, node func() store.Store, c *clock) {
		s := node()
		one, oneRevoked := newFamilies(s, c)
		other, otherRevoked := newFamilies(node(), c)
		nodes := []state.Families{one, other}
		token, made := mustStart(t, one)
		for range 3 {
			next := make([]string, 50)
			var wg sync.WaitGroup
			for i := range next {
				wg.Go(func() {
					var err error
					var f state.Family
					if next[i], f, err = refresh(t.Context(), nodes[i%2], token, anyone); err != nil || f.ID != made.ID {
						t.Errorf("family %s, %v", f.ID, err)
					}
				})
			}
			wg.Wait()
			for _, n := range next {
				if n != next[0] || n == token {
					t.Fatal("there is more than one successor")
				}
			}
			token = next[0]
		}
		mustRotate(t, other, token)
		if oneRevoked.Len()+otherRevoked.Len() > 0 {
			t.Error("the family is revoked")
		}
		if all, err := s.List(t.Context(), "family", "", "", 10); err != nil || len(all) != 1 || all[0].Version != 5 {
			t.Errorf("%d families, version %d, %v: want one, rotated four times", len(all), all[0].Version, err)
		}
	})
}

func TestInspectChangesNothing(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	families, _ := newFamilies(f, c)
	old, made := mustStart(t, families)
	before := mustRotate(t, families, old)
	newest := mustRotate(t, families, before)
	f.Fail(none(t, "Load"))
	for token, want := range map[string]error{old: state.ErrReused, before: nil, newest: nil, "rt_": state.ErrMalformed} {
		if got, err := families.Inspect(t.Context(), token); !errors.Is(err, want) || (want == nil && got.ID != made.ID) {
			t.Errorf("Inspect: %v, want %v", err, want)
		}
	}
}

func TestStartHoldsTheFamilyToItsLimits(t *testing.T) {
	c := newClock()
	for name, change := range map[string]func(*state.Families, *state.Family){
		"no client":           func(_ *state.Families, f *state.Family) { f.ClientID = "" },
		"no subject":          func(_ *state.Families, f *state.Family) { f.Subject = "" },
		"a subject, too long": func(_ *state.Families, f *state.Family) { f.Subject = strings.Repeat("s", 256) },
		"a scope with spaces": func(_ *state.Families, f *state.Family) { f.Scope = verify.Scope{"a b"} },
		"an id of its own":    func(_ *state.Families, f *state.Family) { f.ID = "mine" },
		"an id with line end": func(_ *state.Families, f *state.Family) { f.ID = "ffffffffffff\nffffffffffff" },
		"a negative life":     func(s *state.Families, _ *state.Family) { s.Absolute = -1 },
	} {
		families, _ := newFamilies(newMemory(t, c.Now), c)
		f := aFamily()
		change(&families, &f)
		if _, _, err := families.Start(t.Context(), f); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

package state_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
)

func aCode() state.Code {
	return state.Code{
		ClientID: "web", RedirectURI: "https://web.example/cb", Subject: "ann", Scope: verify.Scope{"orders"},
		Challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", ChallengeMethod: "S256",
	}
}

func anyCode(state.Code) error { return nil }

func newCodes(s store.Store, c *clock) (state.Codes, *verify.Revocations) {
	families, set := newFamilies(s, c)
	return state.Codes{Store: s, Families: families, Now: c.Now}, set
}

func mustIssue(t *testing.T, s state.Codes) (string, state.Code) {
	t.Helper()
	code, made, err := s.Issue(t.Context(), aCode())
	if err != nil {
		t.Fatalf("Issue: %v", err)
	}
	return code, made
}

// fromCode is the family that a redemption starts.
func fromCode(c state.Code) state.Family {
	return state.Family{ID: c.Family, ClientID: c.ClientID, Subject: c.Subject, Scope: c.Scope}
}

// RFC 6749 §4.1.2: in which state a code is good.
func TestCodeRules(t *testing.T) {
	check := func(want error) func(state.Code) error { return func(state.Code) error { return want } }
	type step struct {
		after time.Duration
		check error
		want  error
	}
	for name, steps := range map[string][]step{
		"once":                                 {{0, nil, nil}, {0, nil, state.ErrSpent}, {0, nil, state.ErrSpent}},
		"just in time":                         {{time.Minute - 1e6, nil, nil}},
		"too late":                             {{time.Minute, nil, state.ErrExpired}},
		"a wrong check burns nothing":          {{0, errCheck, errCheck}, {0, errCheck, errCheck}, {0, nil, nil}},
		"a replay after it would have expired": {{0, nil, nil}, {5 * time.Minute, nil, state.ErrSpent}},
		"a replay that is not the client's":    {{0, nil, nil}, {0, errCheck, errCheck}},
		"the clock goes ahead":                 {{time.Hour, nil, state.ErrExpired}},
		"the clock goes back, and it is spent": {{0, nil, nil}, {-time.Hour, nil, state.ErrSpent}},
		"the clock goes back, and on":          {{-time.Hour, errCheck, errCheck}, {time.Hour + time.Minute, nil, state.ErrExpired}},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
				codes, set := newCodes(s, c)
				code, made := mustIssue(t, codes)
				if life := made.Expires.Sub(made.Created); life != state.DefaultCodeLife {
					t.Errorf("it lives for %v", life)
				}
				replayed := false
				for _, step := range steps {
					c.Advance(step.after)
					got, err := redeem(t.Context(), codes, code, check(step.check))
					if !errors.Is(err, step.want) {
						t.Errorf("redeem: %v, want %v", err, step.want)
					}
					if got.Family != made.Family || got.Challenge != made.Challenge || got.RedirectURI != made.RedirectURI {
						t.Errorf("another code: %+v", got)
					}
					if step.want == nil {
						if _, _, err := codes.Families.Start(t.Context(), fromCode(got)); err != nil {
							t.Errorf("Start: %v", err)
						}
					}
					replayed = replayed || errors.Is(step.want, state.ErrSpent)
				}
				if got := set.Revoked(accessToken(made.Family)); got != replayed {
					t.Errorf("tokens of the code revoked: %v, want %v", got, replayed)
				}
			})
		})
	}
}

// The bug of 2026: read, decide, then write. All eight succeeded.
func TestOfEightParallelRedemptionsOneWins(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, node func() store.Store, c *clock) {
		nodes := []*issuer{newIssuer(node(), c.Now), newIssuer(node(), c.Now)}
		for range 20 {
			code, made := mustIssue(t, nodes[0].codes)
			var won, spent atomic.Int32
			var wg sync.WaitGroup
			start := make(chan struct{})
			for i := range 8 {
				wg.Go(func() {
					<-start
					switch _, err := redeem(t.Context(), nodes[i%2].codes, code, anyCode); {
					case err == nil:
						won.Add(1)
					// Revoked: another one had found it spent.
					case errors.Is(err, state.ErrSpent), errors.Is(err, state.ErrRevoked):
						spent.Add(1)
					default:
						t.Errorf("redeem: %v", err)
					}
				})
			}
			close(start)
			wg.Wait()
			if won.Load() != 1 || spent.Load() != 7 {
				t.Fatalf("%d won and %d were refused, want 1 and 7", won.Load(), spent.Load())
			}
			if !nodes[0].grantRevoked(made.Family) && !nodes[1].grantRevoked(made.Family) {
				t.Error("the tokens of a code that was replayed are good")
			}
		}
	})
}

// A replay may come before the winner has started the family, or after: nothing that the winner got
// is good.
func TestReplayRacingTheWinnerEndsWhatItGot(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		codes, set := newCodes(s, c)
		early := 0
		for range 50 {
			code, made := mustIssue(t, codes)
			got, err := redeem(t.Context(), codes, code, anyCode)
			if err != nil {
				t.Fatal(err)
			}
			var token string
			var wg sync.WaitGroup
			wg.Go(func() {
				var err error
				if token, _, err = codes.Families.Start(t.Context(), fromCode(got)); err != nil && !errors.Is(err, state.ErrRevoked) {
					t.Errorf("Start: %v", err)
				}
			})
			wg.Go(func() {
				if _, err := redeem(t.Context(), codes, code, anyCode); !errors.Is(err, state.ErrSpent) {
					t.Errorf("redeem: %v, want ErrSpent", err)
				}
			})
			wg.Wait()
			if token == "" {
				early++
			} else {
				wantRotate(t, codes.Families, token, state.ErrRevoked)
			}
			if !set.Revoked(accessToken(made.Family)) {
				t.Error("the access tokens are good")
			}
		}
		t.Logf("in %d of 50 the replay was first", early)
	})
}

// RFC 6749 §4.1.3: the check sees the version that is spent.
func TestCodeSpentDuringTheCheckIsNotSpentAgain(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		codes, _ := newCodes(s, c)
		code, _ := mustIssue(t, codes)
		calls := 0
		_, err := redeem(t.Context(), codes, code, func(seen state.Code) error {
			if calls++; calls == 1 {
				if _, err := redeem(t.Context(), codes, code, anyCode); err != nil {
					t.Fatal(err)
				}
			} else if seen.Spent.IsZero() {
				t.Error("the second check sees the version of the first")
			}
			return nil
		})
		if !errors.Is(err, state.ErrSpent) || calls != 2 {
			t.Errorf("%v after %d checks, want ErrSpent after two", err, calls)
		}
	})
}

func TestCodeIsStoredAsAHash(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		codes, _ := newCodes(s, c)
		code, made := mustIssue(t, codes)
		records, err := s.List(t.Context(), "family", "", "", 10)
		if err != nil || len(records) != 1 {
			t.Fatalf("%d records, %v", len(records), err)
		}
		if r := records[0]; strings.Contains(r.ID+string(r.Data), code) {
			t.Errorf("the record has the code: %s %s", r.ID, r.Data)
		}
		if late := records[0].Expires.Sub(made.Expires); late != state.MaxCodeLife {
			t.Errorf("the record outlives the code by %v", late)
		}
	})
}

func TestCodeThatIsNoneCostsNoStoreAccess(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	codes, _ := newCodes(f, c)
	for text, want := range map[string]error{
		"": state.ErrMalformed, "short": state.ErrMalformed, strings.Repeat("-", 79): state.ErrMalformed, strings.Repeat("g", 79): state.ErrMalformed,
		strings.Repeat("a", 80): state.ErrMalformed, strings.Repeat("a", 79): state.ErrUnknown,
	} {
		f.Fail(func(call storetest.Call) storetest.Fault {
			if errors.Is(want, state.ErrMalformed) || call.Verb != "Load" {
				t.Errorf("%q: %s", text, call.Verb)
			}
			return storetest.None
		})
		if _, err := redeem(t.Context(), codes, text, anyCode); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// While the store is away nobody is told that the code is no good, and what failed can be tried
// again.
func TestOutageBurnsNoCode(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	codes, set := newCodes(f, c)
	code, made := mustIssue(t, codes)
	f.Fail(away("Swap"))
	if _, err := redeem(t.Context(), codes, code, anyCode); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, state.ErrRefused) {
		t.Errorf("redeem: %v, want store.ErrUnavailable", err)
	}
	f.Fail(nil)
	if _, err := redeem(t.Context(), codes, code, anyCode); err != nil {
		t.Errorf("redeem: %v", err)
	}
	f.Fail(away("Insert"))
	if _, err := redeem(t.Context(), codes, code, anyCode); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, state.ErrRefused) {
		t.Errorf("a replay that could not end the family: %v, want store.ErrUnavailable", err)
	}
	f.Fail(nil)
	if _, err := redeem(t.Context(), codes, code, anyCode); !errors.Is(err, state.ErrSpent) || !set.Revoked(accessToken(made.Family)) {
		t.Errorf("the replay again: %v, want ErrSpent", err)
	}
}

// A code whose answer was lost is spent: nobody knows who has the answer.
func TestCodeWhoseAnswerIsLostIsSpent(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		lossy := storetest.NewFaulty(s)
		codes, _ := newCodes(lossy, c)
		code, made := mustIssue(t, codes)
		lossy.FailNext(1, "Swap", storetest.Lost)
		if _, err := redeem(t.Context(), codes, code, anyCode); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("redeem: %v, want store.ErrUnavailable", err)
		}
		if _, err := redeem(t.Context(), codes, code, anyCode); !errors.Is(err, state.ErrSpent) {
			t.Errorf("redeemed again: %v, want ErrSpent", err)
		}
		if _, _, err := codes.Families.Start(t.Context(), fromCode(made)); !errors.Is(err, state.ErrRevoked) {
			t.Errorf("Start: %v, want ErrRevoked", err)
		}
	})
}

func TestIssueHoldsTheCodeToItsLimits(t *testing.T) {
	c := newClock()
	for name, change := range map[string]func(*state.Codes, *state.Code){
		"no client":                func(_ *state.Codes, a *state.Code) { a.ClientID = "" },
		"no subject":               func(_ *state.Codes, a *state.Code) { a.Subject = "" },
		"a challenge of no method": func(_ *state.Codes, a *state.Code) { a.ChallengeMethod = "" },
		"a method of no challenge": func(_ *state.Codes, a *state.Code) { a.Challenge = "" },
		"a scope with spaces":      func(_ *state.Codes, a *state.Code) { a.Scope = verify.Scope{"a b"} },
		"longer than ten minutes":  func(s *state.Codes, _ *state.Code) { s.Life = state.MaxCodeLife + 1 },
		"dead before it is born":   func(s *state.Codes, _ *state.Code) { s.Life = -1 },
	} {
		codes, _ := newCodes(newMemory(t, c.Now), c)
		a := aCode()
		change(&codes, &a)
		if _, _, err := codes.Issue(t.Context(), a); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

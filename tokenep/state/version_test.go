package state_test

import (
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/verify"
)

// crowd is how many requests have checked a credential before the first of them spends it.
const crowd = 50

// together calls f for each of the crowd at once.
func together(f func(i int)) {
	var wg sync.WaitGroup
	for i := range crowd {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// checkAll has each of the crowd check a credential, and returns what they may spend.
func checkAll(t *testing.T, check func(i int) (state.Version, error)) (versions [crowd]state.Version) {
	t.Helper()
	together(func(i int) {
		var err error
		for range 10 { // a database on a busy machine may time out while all of them connect
			if versions[i], err = check(i); !errors.Is(err, store.ErrUnavailable) {
				break
			}
		}
		if err != nil {
			t.Errorf("Check: %v", err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return versions
}

// spendOnce has the crowd spend its versions, and holds that one succeeds, and all others get
// ErrSpent.
func spendOnce(t *testing.T, spend func(i int) error) {
	t.Helper()
	var won atomic.Int32
	together(func(i int) {
		switch err := spend(i); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, state.ErrSpent):
			t.Errorf("Spend: %v, want ErrSpent", err)
		}
	})
	if won.Load() != 1 {
		t.Errorf("%d spent it, want 1", won.Load())
	}
}

// However many have checked a code or a device code, one of them spends it. All of those who have
// checked a refresh token refresh, and there is one line of tokens (RFC 9700 §4.14.2).
func TestFiftyWhoHaveCheckedBeforeTheFirstSpends(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, node func() store.Store, c *clock) {
		nodes := []*issuer{newIssuer(node(), c.Now), newIssuer(node(), c.Now)}
		t.Run("a code", func(t *testing.T) {
			code, made := mustIssue(t, nodes[0].codes)
			versions := checkAll(t, func(i int) (state.Version, error) {
				_, v, err := nodes[i%2].codes.Check(t.Context(), code, anyCode)
				return v, err
			})
			spendOnce(t, func(i int) error { return nodes[i%2].codes.Spend(t.Context(), versions[i]) })
			if !nodes[0].grantRevoked(made.Family) && !nodes[1].grantRevoked(made.Family) {
				t.Error("the tokens of a code that was replayed are good")
			}
		})
		t.Run("a device code", func(t *testing.T) {
			code, err := nodes[0].allowedDevice(t.Context(), "ann")
			must(t, err)
			versions := checkAll(t, func(i int) (state.Version, error) {
				_, v, err := nodes[i%2].devices.Check(t.Context(), code, anyDevice)
				return v, err
			})
			spendOnce(t, func(i int) error { return nodes[i%2].devices.Spend(t.Context(), versions[i]) })
		})
		t.Run("a refresh token", func(t *testing.T) { rotateAll(t, nodes) })
	})
}

func rotateAll(t *testing.T, nodes []*issuer) {
	t.Helper()
	token, f := mustStart(t, nodes[0].families)
	versions := checkAll(t, func(i int) (state.Version, error) {
		_, v, err := nodes[i%2].families.Check(t.Context(), token, anyone)
		return v, err
	})
	var next [crowd]string
	together(func(i int) {
		var err error
		if next[i], _, err = nodes[i%2].families.Rotate(t.Context(), versions[i]); err != nil {
			t.Errorf("Rotate: %v", err)
		}
	})
	for _, n := range next {
		if n != state.ForgeRefreshToken(testKey(), token, 2) {
			t.Fatal("one got another successor")
		}
	}
	if nodes[0].grantRevoked(f.ID) || nodes[1].grantRevoked(f.ID) {
		t.Error("the family is revoked")
	}
}

// setScope changes the scope of the one record of a kind, as somebody else might. A code is in the
// record of its family.
func setScope(t *testing.T, s store.Store, kind, scope string) {
	t.Helper()
	ofCode := kind == "code"
	if ofCode {
		kind = "family"
	}
	records, err := s.List(t.Context(), kind, "", "", 3)
	must(t, err)
	changed := 0
	for _, old := range records {
		var fields map[string]any
		must(t, json.Unmarshal(old.Data, &fields))
		code, hasCode := fields["code"].(map[string]any)
		if hasCode != ofCode {
			continue
		}
		if ofCode {
			code["scope"] = scope
		} else {
			fields["scope"] = scope
		}
		next := old
		next.Data, err = json.Marshal(fields)
		must(t, err)
		must(t, s.Swap(t.Context(), old, next))
		changed++
	}
	if changed != 1 {
		t.Fatalf("%d records of kind %s", changed, kind)
	}
}

// What was narrowed to one scope is not spent on another: the caller starts again at Check. (A
// device that was allowed does not change.)
func TestScopeThatChangesBetweenCheckAndSpendIsErrChanged(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		i := newIssuer(s, c.Now)
		code, _ := mustIssue(t, i.codes)
		token, _ := mustStart(t, i.families)
		for kind, check := range map[string]func() (verify.Scope, func() error, error){
			"code": func() (verify.Scope, func() error, error) {
				got, v, err := i.codes.Check(t.Context(), code, anyCode)
				return got.Scope, func() error { return i.codes.Spend(t.Context(), v) }, err
			},
			"family": func() (verify.Scope, func() error, error) {
				got, v, err := i.families.Check(t.Context(), token, anyone)
				return got.Scope, func() error { _, _, err := i.families.Rotate(t.Context(), v); return err }, err
			},
		} {
			_, spend, err := check()
			must(t, err)
			setScope(t, s, kind, "less")
			if err := spend(); !errors.Is(err, state.ErrChanged) || !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s: %v, want ErrChanged, which is a conflict", kind, err)
			}
			scope, spend, err := check()
			if err != nil || scope.String() != "less" {
				t.Errorf("%s: checked again: scope %q, %v", kind, scope, err)
			}
			if err := spend(); err != nil {
				t.Errorf("%s: spent after the second check: %v", kind, err)
			}
		}
	})
}

// On a conflict the caller's own check decides on the new version.
func TestCheckThatRefusesTheNewVersionIsTheAnswer(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		i := newIssuer(s, c.Now)
		token, f := mustStart(t, i.families)
		_, version, err := i.families.Check(t.Context(), token, func(f state.Family) error {
			if f.Scope.String() != "orders" {
				return errCheck
			}
			return nil
		})
		must(t, err)
		setScope(t, s, "family", "less")
		if _, _, err := i.families.Rotate(t.Context(), version); !errors.Is(err, errCheck) {
			t.Errorf("%v, want the check's own error", err)
		}
		if i.grantRevoked(f.ID) {
			t.Error("the family is revoked")
		}
		wantRotate(t, i.families, token, nil)
	})
}

// A token that is in its grace at the Check, and what happens before the Rotate.
func TestRotateAfterACheckInGrace(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(t *testing.T, s state.Families, c *clock, f state.Family, next string)
		want      error
	}{
		"nothing": {func(*testing.T, state.Families, *clock, state.Family, string) {}, nil},
		"the grace ends": {func(_ *testing.T, _ state.Families, c *clock, _ state.Family, _ string) {
			c.Advance(state.DefaultGrace + time.Millisecond)
		}, state.ErrReused},
		"the successor is used": {func(t *testing.T, s state.Families, _ *clock, _ state.Family, next string) { mustRotate(t, s, next) }, state.ErrReused},
		"the family is revoked": {func(t *testing.T, s state.Families, _ *clock, f state.Family, _ string) {
			must(t, s.Revoke(t.Context(), f.ID))
		}, state.ErrRevoked},
		"the family has expired": {func(_ *testing.T, _ state.Families, c *clock, _ state.Family, _ string) { c.Advance(day(1)) }, state.ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
				families, _ := newFamilies(s, c)
				token, f := mustStart(t, families)
				next := mustRotate(t, families, token)
				_, rotated, err := families.Check(t.Context(), token, anyone)
				must(t, err)
				_, used, err := families.Check(t.Context(), token, anyone)
				must(t, err)
				test.meanwhile(t, families, c, f, next)
				got, _, err := families.Rotate(t.Context(), rotated)
				if !errors.Is(err, test.want) || (err == nil && got != next) {
					t.Errorf("%v, the same successor: %v; want %v", err, got == next, test.want)
				}
				if name == "the successor is used" || name == "the family is revoked" {
					return // Use decides on what was checked
				}
				got, _, err = families.Use(t.Context(), used)
				if !errors.Is(err, state.ErrRefused) == (test.want != nil) || (err == nil && got != next) {
					t.Errorf("Use: %v, the same successor: %v; want %v", err, got == next, test.want)
				}
			})
		})
	}
}

// Time is checked at the spend, however short before its end the check was.
func TestCredentialThatExpiresBetweenCheckAndSpend(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store, c *clock) {
		i := newIssuer(s, c.Now)
		code, _ := mustIssue(t, i.codes)
		token, _ := mustStart(t, i.families)
		deviceCode, err := i.allowedDevice(t.Context(), "ann")
		must(t, err)
		_, codeVersion, err := i.codes.Check(t.Context(), code, anyCode)
		must(t, err)
		_, familyVersion, err := i.families.Check(t.Context(), token, anyone)
		must(t, err)
		_, deviceVersion, err := i.devices.Check(t.Context(), deviceCode, anyDevice)
		must(t, err)
		c.Advance(state.DefaultCodeLife)
		if err := i.codes.Spend(t.Context(), codeVersion); !errors.Is(err, state.ErrExpired) {
			t.Errorf("code: %v, want ErrExpired", err)
		}
		c.Advance(state.DefaultDeviceLife - state.DefaultCodeLife)
		if err := i.devices.Spend(t.Context(), deviceVersion); !errors.Is(err, state.ErrExpired) {
			t.Errorf("device code: %v, want ErrExpired", err)
		}
		c.Advance(state.DefaultIdle)
		// An engine may have dropped the record by then.
		_, _, err = i.families.Rotate(t.Context(), familyVersion)
		if !errors.Is(err, state.ErrExpired) && !errors.Is(err, state.ErrUnknown) {
			t.Errorf("refresh token: %v, want ErrExpired", err)
		}
	})
}

// A version of another kind, or none, is a mistake of the program and no refusal.
func TestVersionIsOfOneType(t *testing.T) {
	c := newClock()
	i := newIssuer(newMemory(t, c.Now), c.Now)
	code, _ := mustIssue(t, i.codes)
	_, ofCode, err := i.codes.Check(t.Context(), code, anyCode)
	must(t, err)
	_, _, rotateErr := i.families.Rotate(t.Context(), ofCode)
	for name, err := range map[string]error{
		"none": i.codes.Spend(t.Context(), state.Version{}), "a device's": i.devices.Spend(t.Context(), ofCode), "a family's": rotateErr,
		"an API token's": i.tokens.Use(t.Context(), ofCode, home),
	} {
		if err == nil || errors.Is(err, state.ErrRefused) || errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v, want an error of its own", name, err)
		}
	}
	must(t, i.codes.Spend(t.Context(), ofCode))
}

package state_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// familyModel is what a family ought to be: the rules of RFC 9700 §4.14.2 on four variables, without a store.
type familyModel struct {
	newest        uint64 // generation
	rotated       time.Time
	expires, ends time.Time
	revoked       bool
}

// present says what comes of a token of a generation, and does it.
func (m *familyModel) present(generation uint64, now time.Time) error {
	switch {
	case m.revoked:
		return state.ErrRevoked
	case !now.Before(m.expires):
		return state.ErrExpired
	case generation == m.newest:
		m.newest, m.rotated, m.expires = m.newest+1, now, now.Add(time.Hour)
		if m.expires.After(m.ends) {
			m.expires = m.ends
		}
		return nil
	case generation+1 == m.newest && now.Sub(m.rotated).Abs() <= state.DefaultGrace:
		return nil
	}
	m.revoked = true
	return state.ErrReused
}

// Whatever is presented in whatever order, whoever else is writing, whatever the store loses of its answers, and wherever the
// clock jumps: the family does what the model does.
func TestFamilyDoesWhatItsModelDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newClock()
		faulty := storetest.NewFaulty(newMemory(t, c.Now))
		families, set := newFamilies(faulty, c)
		first, f, err := families.Start(t.Context(), aFamily())
		if err != nil {
			rt.Fatal(err)
		}
		token := func(generation uint64) string { return state.ForgeRefreshToken(testKey(), first, generation) }
		model := familyModel{newest: 1, expires: f.Expires, ends: f.Ends}
		rt.Repeat(map[string]func(*rapid.T){
			"present": func(rt *rapid.T) {
				back := min(rapid.Uint64Range(0, 3).Draw(rt, "back"), model.newest-1)
				generation := model.newest - back
				fault := rapid.SampledFrom([]storetest.Fault{
					storetest.None, storetest.None, storetest.Conflict, storetest.Away, storetest.Lost,
				}).Draw(rt, "fault")
				hit := false
				faulty.Fail(func(call storetest.Call) storetest.Fault {
					if hit || call.Verb != "Swap" || call.Kind != "family" {
						return storetest.None
					}
					hit = true
					return fault
				})
				was := model
				want := model.present(generation, c.Now())
				if hit := model != was; hit && (fault == storetest.Away || fault == storetest.Lost) {
					want = store.ErrUnavailable
					if fault == storetest.Away {
						model = was
					}
				}
				next, _, err := refresh(t.Context(), families, token(generation), anyone)
				if !errors.Is(err, want) || (want == nil && next != token(generation+1)) {
					rt.Fatalf("token %d of %d: %v, want %v", generation, was.newest, err, want)
				}
			},
			"refused": func(rt *rapid.T) {
				generation := rapid.Uint64Range(1, model.newest).Draw(rt, "generation")
				if _, _, err := refresh(t.Context(), families, token(generation), nobody); err == nil {
					rt.Fatal("the check did not count")
				}
			},
			"revoke": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "rarely") > 0 {
					rt.Skip()
				}
				faulty.Fail(nil)
				if err := families.Revoke(t.Context(), f.ID); err != nil {
					rt.Fatal(err)
				}
				model.revoked = true
			},
			"pass": func(rt *rapid.T) {
				c.Advance(rapid.SampledFrom([]time.Duration{
					time.Millisecond, time.Second, state.DefaultGrace, state.DefaultGrace + time.Millisecond, 50 * time.Minute, time.Hour,
					-time.Second, -time.Hour,
				}).Draw(rt, "time"))
			},
			"": func(rt *rapid.T) {
				if model.revoked && !set.Revoked(accessToken(f.ID)) {
					rt.Fatal("the family is revoked, its access tokens are not")
				}
			},
		})
	})
}

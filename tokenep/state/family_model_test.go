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

// familyModel is what a family ought to be: the rules of RFC 9700 §4.14.2 on four variables,
// without a store.
type familyModel struct {
	newest        uint64 // generation
	rotated       time.Time
	expires, ends time.Time
	revoked       bool
	ending        bool // its access tokens have ended, and the family has not
}

// present says what comes of a token of a generation that is rotated, or used, and does it.
func (m *familyModel) present(generation uint64, now time.Time, use bool) error {
	end := now.Add(time.Hour)
	if end.After(m.ends) {
		end = m.ends
	}
	switch {
	case m.revoked:
		return state.ErrRevoked
	case !now.Before(m.expires):
		return state.ErrExpired
	case m.ending:
		m.revoked, m.ending = true, false
		return state.ErrRevoked
	case generation == m.newest && use:
		if moved := end.Sub(m.expires); moved >= 6*time.Minute || moved > 0 && end.Equal(m.ends) {
			m.expires = end
		}
		return nil
	case generation == m.newest:
		m.newest, m.rotated, m.expires = m.newest+1, now, end
		return nil
	case generation+1 == m.newest && now.Sub(m.rotated).Abs() <= state.DefaultGrace:
		return nil
	}
	m.revoked = true
	return state.ErrReused
}

// familyRun is a family beside its model.
type familyRun struct {
	model    familyModel
	families state.Families
	faulty   *storetest.Faulty
	clock    *clock
	first    string // the first token
	open     []openCheck
}

// openCheck is a token that Check allowed, and that is not rotated yet.
type openCheck struct {
	version    state.Version
	generation uint64
	seen       familyModel
}

func (r *familyRun) token(generation uint64) string {
	return state.ForgeRefreshToken(testKey(), r.first, generation)
}

// generation draws one of the newest tokens.
func (r *familyRun) generation(rt *rapid.T) uint64 {
	return r.model.newest - min(rapid.Uint64Range(0, 3).Draw(rt, "back"), r.model.newest-1)
}

// present has one token rotated or used, whose first write has a fault, and holds the outcome
// against the model. stale says that its first write is of a version that is no more.
func (r *familyRun) present(rt *rapid.T, generation uint64, use, stale bool, present func() (next string, err error)) {
	faults := []storetest.Fault{storetest.None, storetest.None, storetest.Conflict, storetest.Away, storetest.Lost}
	if stale {
		faults = []storetest.Fault{storetest.None, storetest.Conflict}
	}
	fault := rapid.SampledFrom(faults).Draw(rt, "fault")
	hit := false
	r.faulty.Fail(func(call storetest.Call) storetest.Fault {
		if hit || call.Verb != "Swap" || call.Kind != "family" {
			return storetest.None
		}
		hit = true
		return fault
	})
	defer r.faulty.Fail(nil)
	was := r.model
	want := r.model.present(generation, r.clock.Now(), use)
	next := generation + 1
	if use && generation == was.newest {
		next = generation
	}
	if r.model != was && (fault == storetest.Away || fault == storetest.Lost) {
		want = store.ErrUnavailable
		if fault == storetest.Away {
			ending := r.model.revoked
			r.model = was
			r.model.ending = ending
		}
	}
	got, err := present()
	if !errors.Is(err, want) || (want == nil && got != r.token(next)) {
		rt.Fatalf("token %d of %d: %v, want %v", generation, was.newest, err, want)
	}
}

// check has one token checked, which changes nothing, unless it was reused.
func (r *familyRun) check(rt *rapid.T) {
	generation := r.generation(rt)
	after := r.model
	want := after.present(generation, r.clock.Now(), false)
	if want != nil {
		r.model = after
	}
	_, version, err := r.families.Check(rt.Context(), r.token(generation), anyone)
	if !errors.Is(err, want) {
		rt.Fatalf("token %d of %d: %v, want %v", generation, r.model.newest, err, want)
	}
	if err == nil {
		r.open = append(r.open, openCheck{version, generation, r.model})
	}
}

// Whatever is presented in whatever order, whoever else is writing, however long after the Check,
// whatever the store loses of its answers, and wherever the clock jumps: the family does what the
// model does.
func TestFamilyDoesWhatItsModelDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newClock()
		faulty := storetest.NewFaulty(newMemory(t, c.Now))
		families, set := newFamilies(faulty, c)
		first, f, err := families.Start(t.Context(), aFamily())
		if err != nil {
			rt.Fatal(err)
		}
		r := &familyRun{
			model:    familyModel{newest: 1, expires: f.Expires, ends: f.Ends},
			families: families, faulty: faulty, clock: c, first: first,
		}
		rt.Repeat(map[string]func(*rapid.T){
			"present": func(rt *rapid.T) {
				generation := r.generation(rt)
				r.present(rt, generation, false, false, func() (string, error) {
					next, _, err := refresh(t.Context(), families, r.token(generation), anyone)
					return next, err
				})
			},
			"use": func(rt *rapid.T) {
				generation := r.generation(rt)
				r.present(rt, generation, true, false, func() (string, error) {
					return use(t.Context(), families, r.token(generation))
				})
			},
			"check": r.check,
			"rotate": func(rt *rapid.T) {
				if len(r.open) == 0 {
					rt.Skip()
				}
				o := rapid.SampledFrom(r.open).Draw(rt, "open")
				r.present(rt, o.generation, false, o.seen != r.model, func() (string, error) {
					next, _, err := families.Rotate(t.Context(), o.version)
					return next, err
				})
			},
			"refused": func(rt *rapid.T) {
				generation := rapid.Uint64Range(1, r.model.newest).Draw(rt, "generation")
				if _, _, err := refresh(t.Context(), families, r.token(generation), nobody); err == nil {
					rt.Fatal("the check did not count")
				}
			},
			"revoke": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "rarely") > 0 {
					rt.Skip()
				}
				if err := families.Revoke(t.Context(), f.ID); err != nil {
					rt.Fatal(err)
				}
				r.model.revoked, r.model.ending = true, false
			},
			"pass": func(rt *rapid.T) {
				c.Advance(rapid.SampledFrom([]time.Duration{
					time.Millisecond, time.Second, state.DefaultGrace, state.DefaultGrace + time.Millisecond, 50 * time.Minute, time.Hour,
					-time.Second, -time.Hour,
				}).Draw(rt, "time"))
				if !c.Now().Before(r.model.expires) {
					// The engine may drop the record, and the versions of a later one begin at 1.
					r.open = nil
				}
			},
			"": func(rt *rapid.T) {
				if (r.model.revoked || r.model.ending) && !set.Revoked(accessToken(f.ID)) {
					rt.Fatal("the family is revoked, its access tokens are not")
				}
			},
		})
	})
}

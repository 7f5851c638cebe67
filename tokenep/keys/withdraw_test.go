package keys

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

func withdraw(t *testing.T, r *Ring, kid string) {
	t.Helper()
	if err := r.Withdraw(t.Context(), kid); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Key(t.Context(), kid, "ES256"); !errors.Is(err, verify.ErrUnknownKey) {
		t.Errorf("the withdrawn key still verifies: %v", err)
	}
	if published(r, kid) {
		t.Error("the withdrawn key is still published")
	}
	only(t, r, Active) // there is one of each, whatever was withdrawn
	only(t, r, Next)
}

func TestWithdrawnKeyVerifiesNoMoreWhateverItsState(t *testing.T) {
	for _, state := range []State{Active, Next, Retired} {
		t.Run(string(state), func(t *testing.T) {
			c := newClock()
			s := newStore(t, c)
			r := start(t, s, c)
			if err := r.Rotate(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			before := r.Current().List()
			kid := only(t, r, state).ID
			withdraw(t, r, kid)
			// The others are as they were, except that the next one may have become active.
			for _, k := range before {
				i := slices.IndexFunc(r.Current().List(), func(now Info) bool { return now.ID == k.ID })
				switch {
				case k.ID == kid:
				case i < 0:
					t.Errorf("key %s, which was %s, is gone too", k.ID, k.State)
				case r.Current().List()[i].State != k.State && (state != Active || k.State != Next || r.Current().List()[i].State != Active):
					t.Errorf("key %s, which was %s, is %s", k.ID, k.State, r.Current().List()[i].State)
				}
			}
			again := start(t, s, c)
			if published(again, kid) || activeID(t, again) != activeID(t, r) {
				t.Error("after a restart the ring is another one")
			}
		})
	}
}

// If a copy of the store is in the wrong hands, all its keys can be withdrawn one after the other.
func TestAllKeysCanBeWithdrawn(t *testing.T) {
	c := newClock()
	r := start(t, newStore(t, c), c)
	before := r.Current().List()
	for _, k := range before {
		withdraw(t, r, k.ID)
	}
	if len(before) != 2 || len(r.Current().List()) != 2 {
		t.Errorf("%d keys have become %d", len(before), len(r.Current().List()))
	}
}

// No step leaves a ring without a next key, but somebody may have edited the record.
func TestRingWithoutANextKeyGetsOneAgain(t *testing.T) {
	for name, step := range map[string]func(t *testing.T, r *Ring, active string){
		"withdrawal": withdraw,
		"refresh":    func(t *testing.T, r *Ring, _ string) { refresh(t, r) },
		"rotation that is too early, and refresh": func(t *testing.T, r *Ring, _ string) {
			if err := r.Rotate(t.Context(), true); !errors.Is(err, ErrTooEarly) {
				t.Errorf("Rotate: %v, want %v", err, ErrTooEarly)
			}
			refresh(t, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			r := start(t, newStore(t, c), c)
			edit := func(keys []entry, _ time.Time) ([]entry, error) { return keys[:1], nil }
			if err := r.source.change(t.Context(), edit); err != nil {
				t.Fatal(err)
			}
			step(t, r, only(t, r, Active).ID)
			only(t, r, Active)
			only(t, r, Next)
		})
	}
}

func TestOtherNodesFollowAWithdrawalWhenTheyRefresh(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	a, b := start(t, s, c), start(t, s, c)
	kid := activeID(t, a)
	withdraw(t, a, kid)
	if !published(b, kid) {
		t.Error("nobody has told the other node yet")
	}
	refresh(t, b)
	if published(b, kid) || activeID(t, b) != activeID(t, a) {
		t.Error("the other node goes on with the withdrawn key")
	}
	if err := b.Withdraw(t.Context(), kid); !errors.Is(err, ErrUnknown) {
		t.Errorf("withdrawn twice: %v", err)
	}
}

func TestWithdrawalDuringARotationDropsTheKeyThatWasNamed(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	o := &overtaken{Store: s}
	r := start(t, o, c)
	kid := activeID(t, r)
	other := start(t, s, c)
	o.first = func() {
		if err := other.Rotate(t.Context(), true); err != nil {
			t.Error(err)
		}
	}
	withdraw(t, r, kid)
	if got := activeID(t, r); got != activeID(t, other) {
		t.Errorf("%s is active, want the key that the other node rotated to", got)
	}
}

func TestGivenKeysAreNotWithdrawn(t *testing.T) {
	c := newClock()
	key, _ := pair(t)
	r := start(t, newStore(t, c), c, giving(key))
	if err := r.Withdraw(t.Context(), key.ID); !errors.Is(err, ErrGiven) {
		t.Errorf("%v, want %v", err, ErrGiven)
	}
}

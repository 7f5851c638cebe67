package keys

import (
	"errors"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

func before(r *Ring) func(*Options) { return func(o *Options) { o.Before = r } }

// notStarted returns a new ring without starting it.
func notStarted(t *testing.T, s store.Store, c *clock, change ...func(*Options)) *Ring {
	t.Helper()
	o := Options{Store: s, Retain: retain, Now: c.Now}
	for _, f := range change {
		f(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestKeysOfTheRingBeforeAreInUseAtOnce(t *testing.T) {
	c := newClock()
	s := &away{Store: newStore(t, c)}
	old := start(t, s, c)
	s.set(true)
	next := notStarted(t, s, c, before(old))
	if !next.Inherited() || activeID(t, next) != activeID(t, old) || !published(next, only(t, old, Next).ID) {
		t.Errorf("before the start: %+v, want %+v", next.Current().List(), old.Current().List())
	}
	if err := next.Start(t.Context()); err != nil {
		t.Errorf("a start that takes over while the store is away: %v", err)
	}
	s.set(false)
	if err := next.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	refresh(t, old)
	if activeID(t, next) != activeID(t, old) {
		t.Error("the two do not turn one ring")
	}
}

func TestRingBeforeIsLetGo(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	if next := notStarted(t, s, c, before(start(t, s, c))); next.options.Before != nil {
		t.Error("every ring holds the one before it")
	}
}

func TestInheritedRingIsStillOpenedAndEncryptedAnew(t *testing.T) {
	c := newClock()
	s := &away{Store: newStore(t, c)}
	old := start(t, s, c)
	start(t, s, c, before(old), under("a"))
	if inClear(t, s, old) {
		t.Error("a start that takes over leaves the ring in clear")
	}
	for _, cut := range []bool{false, true} {
		s.set(cut)
		if err := startErr(t, s, c, before(old), under("b")); err == nil {
			t.Errorf("store away: %t; started with a key that does not open the ring", cut)
		}
	}
}

func TestGivenKeysTakeOverFromARingThatIsAway(t *testing.T) {
	c := newClock()
	s := &away{Store: newStore(t, c)}
	made := start(t, s, c)
	a, b := pair(t)
	s.set(true)
	first := start(t, s, c, before(made), giving(a))
	second := start(t, s, c, before(first), giving(b))
	if activeID(t, second) != b.ID || published(second, a.ID) {
		t.Errorf("active is %s, want the given %s alone", activeID(t, second), b.ID)
	}
	for _, r := range []*Ring{first, second} {
		if !published(r, activeID(t, made)) || published(r, only(t, made, Next).ID) {
			t.Errorf("of the ring before, what may have signed has to be published: %+v", r.Current().List())
		}
	}
	if r := notStarted(t, s, c, before(second)); r.Inherited() {
		t.Error("a ring of its own took over given keys")
	}
	if err := startErr(t, s, c, before(second)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v, want store.ErrUnavailable", err)
	}
}

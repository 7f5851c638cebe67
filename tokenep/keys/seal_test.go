package keys

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/keys/seal"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// under sets the encryption keys of a ring: one byte stands for each.
func under(keys string) func(*Options) {
	return func(o *Options) {
		for i := range len(keys) {
			o.EncryptionKeys = append(o.EncryptionKeys, bytes.Repeat([]byte{keys[i]}, EncryptionKeySize))
		}
	}
}

func stringOf(t *testing.T, s store.Store) string {
	t.Helper()
	rec, err := s.Load(t.Context(), recordKind, recordID)
	if err != nil {
		t.Fatal(err)
	}
	return string(rec.Data)
}

// inClear reports whether the store shows a private key of r, as PKCS #8 in base64 or as its number
// alone.
func inClear(t *testing.T, s store.Store, r *Ring) bool {
	t.Helper()
	stored := stringOf(t, s)
	for _, e := range r.Current().entries {
		private, err := x509.MarshalPKCS8PrivateKey(e.key.private)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(stored, base64.StdEncoding.EncodeToString(private)) || strings.Contains(stored, string(private[36:68])) {
			return true
		}
	}
	return false
}

func startErr(t *testing.T, s store.Store, c *clock, change ...func(*Options)) error {
	t.Helper()
	o := Options{Store: s, Retain: retain, Now: c.Now}
	for _, f := range change {
		f(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r.Start(t.Context())
}

func TestEncryptedRingHoldsNoPrivateKey(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	r := start(t, s, c, under("a"))
	if inClear(t, s, r) || !strings.HasPrefix(stringOf(t, s), "A256GCM\n") {
		t.Fatal("the ring is in clear")
	}
	if got := activeID(t, start(t, s, c, under("a"))); got != activeID(t, r) {
		t.Error("the second start reads another ring")
	}
	before := stringOf(t, s)
	if err := r.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if after := stringOf(t, s); after == before || inClear(t, s, r) {
		t.Error("after a rotation the ring is in clear")
	}
}

func TestClearRingIsEncryptedByTheNextStart(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	old := start(t, s, c)
	if !inClear(t, s, old) {
		t.Fatal("this test cannot see a key in clear")
	}
	r := start(t, s, c, under("a"))
	if activeID(t, r) != activeID(t, old) {
		t.Error("the keys were replaced")
	}
	if inClear(t, s, r) {
		t.Error("the ring is still in clear")
	}
	// A process without the key continues with what is in memory, and leaves the record alone.
	before := stringOf(t, s)
	if err := old.Refresh(t.Context()); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("got %v, want ErrSealed", err)
	}
	if err := old.Rotate(t.Context(), true); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("got %v, want ErrSealed", err)
	}
	if activeID(t, old) != activeID(t, r) || stringOf(t, s) != before {
		t.Error("the ring was changed by a process that cannot read it")
	}
}

func TestRingThatCannotBeDecryptedFailsTheStartAndIsLeftAlone(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no key":      func(*Options) {},
		"a wrong key": under("b"),
		"two of them": under("bc"),
		"another server": func(o *Options) {
			under("a")(o)
			o.Server = "partners"
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			s := newStore(t, c)
			start(t, s, c, under("a"))
			before := stringOf(t, s)
			c.Advance(60 * day) // a rotation is due
			if err := startErr(t, s, c, change); !errors.Is(err, seal.ErrSealed) {
				t.Errorf("got %v, want ErrSealed", err)
			}
			if stringOf(t, s) != before {
				t.Error("the record was overwritten")
			}
		})
	}
}

func mustSeals(t *testing.T, keys string) seal.Seals {
	t.Helper()
	var o Options
	under(keys)(&o)
	s, err := seal.New(o.EncryptionKeys, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEncryptionKeyTurnsOver(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	first := start(t, s, c, under("a"))
	kid := activeID(t, first)
	for _, step := range []struct {
		keys, opens string
	}{
		{"ab", "a"}, // known everywhere before it is used
		{"ba", "b"}, // used
		{"b", "b"},  // the old one is dropped
	} {
		r := start(t, s, c, under(step.keys))
		if activeID(t, r) != kid {
			t.Fatalf("%s: the signing keys were replaced", step.keys)
		}
		if _, current, err := mustSeals(t, step.opens).Open(recordKind, recordID, []byte(stringOf(t, s))); err != nil || !current {
			t.Errorf("%s: the record is not under %s: %v", step.keys, step.opens, err)
		}
	}
}

// TestProcessesThatDisagreeOnTheNewestKeyDoNotUndoEachOther: a cluster halfway through a change of
// the encryption key.
func TestProcessesThatDisagreeOnTheNewestKeyDoNotUndoEachOther(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	a, b := start(t, s, c, under("ab")), start(t, s, c, under("ba"))
	before := stringOf(t, s)
	for range 5 {
		c.Advance(time.Minute)
		refresh(t, a)
		refresh(t, b)
	}
	if stringOf(t, s) != before {
		t.Error("they write the ring again and again")
	}
}

func TestLostRingIsPutBackEncrypted(t *testing.T) {
	c := newClock()
	s := newStore(t, c)
	r := start(t, s, c, under("a"))
	if err := s.Delete(context.Background(), recordKind, recordID); err != nil {
		t.Fatal(err)
	}
	refresh(t, r)
	if inClear(t, s, r) {
		t.Error("the ring was put back in clear")
	}
}

package seal

import (
	"bytes"
	"errors"
	"testing"
)

func seals(t *testing.T, server, keys string) Seals {
	t.Helper()
	var all [][]byte
	for i := range len(keys) {
		all = append(all, bytes.Repeat([]byte{keys[i]}, KeySize))
	}
	s, err := New(all, server)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var inClear = []byte(`{"secret":"MDEyMw=="}`)

// By whom a sealed record can be opened, and for whom it is current.
func TestOpen(t *testing.T) {
	stored := seals(t, "main", "a").Seal("secret", "one", inClear)
	if bytes.Contains(stored, []byte("MDEyMw")) {
		t.Fatal("the secret is in clear")
	}
	for _, test := range []struct {
		name, server, keys, kind, id string
		opens, current               bool
	}{
		{"the same key", "main", "a", "secret", "one", true, true},
		{"a second key beside it", "main", "ab", "secret", "one", true, true},
		{"a newer key before it", "main", "ba", "secret", "one", true, false},
		{"another key", "main", "b", "secret", "one", false, false},
		{"no key", "main", "", "secret", "one", false, false},
		{"another server", "other", "a", "secret", "one", false, false},
		{"another kind", "main", "a", "other", "one", false, false},
		{"another id", "main", "a", "secret", "two", false, false},
		{"names that run together", "main\" \"secret", "a", "one", "", false, false},
	} {
		data, current, err := seals(t, test.server, test.keys).Open(test.kind, test.id, stored)
		if test.opens != (err == nil) || current != test.current || (!test.opens && !errors.Is(err, ErrSealed)) {
			t.Errorf("%s: current %v, %v, want that it opens: %v, current: %v", test.name, current, err, test.opens, test.current)
		}
		if test.opens && !bytes.Equal(data, inClear) {
			t.Errorf("%s: %q", test.name, data)
		}
	}
}

// A record in clear is opened with and without a key, and is current only without one.
func TestOpenInClear(t *testing.T) {
	for keys, want := range map[string]bool{"": true, "a": false} {
		s := seals(t, "main", keys)
		if data, current, err := s.Open("secret", "one", inClear); err != nil || current != want || !bytes.Equal(data, inClear) {
			t.Errorf("keys %q: %q, current %v, %v, want current %v", keys, data, current, err, want)
		}
	}
	if none := (Seals{}); !bytes.Equal(none.Seal("secret", "one", inClear), inClear) {
		t.Error("sealed without a key")
	}
}

func TestOpenRefusesDamage(t *testing.T) {
	s := seals(t, "main", "a")
	stored := s.Seal("secret", "one", inClear)
	for i := len(mark); i < len(stored); i++ {
		damaged := bytes.Clone(stored)
		damaged[i] ^= 1
		if _, _, err := s.Open("secret", "one", damaged); !errors.Is(err, ErrSealed) {
			t.Errorf("byte %d: %v, want ErrSealed", i, err)
		}
		if _, _, err := s.Open("secret", "one", stored[:i]); !errors.Is(err, ErrSealed) {
			t.Errorf("cut off at %d: %v, want ErrSealed", i, err)
		}
	}
}

func TestNewRefusesAKeyOfAnotherSize(t *testing.T) {
	for _, size := range []int{0, 16, 31, 33} {
		if _, err := New([][]byte{make([]byte, size)}, "main"); err == nil {
			t.Errorf("a key of %d bytes is taken", size)
		}
	}
}

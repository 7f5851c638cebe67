package store_test

import (
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// No engine may drop a record early, so a part of a millisecond counts as a whole one.
func TestMillis(t *testing.T) {
	whole := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)
	for _, test := range []struct {
		name     string
		expires  time.Time
		expected time.Time
	}{
		{"never", time.Time{}, time.Time{}},
		{"never, elsewhere", time.Time{}.In(time.FixedZone("east", 3600)), time.Time{}},
		{"whole milliseconds", whole, whole},
		{"a nanosecond more", whole.Add(1), whole.Add(time.Millisecond)},
		{"a nanosecond less than the next", whole.Add(time.Millisecond - 1), whole.Add(time.Millisecond)},
		{"another zone", whole.In(time.FixedZone("west", -3600)), whole},
	} {
		r := store.Record{Expires: test.expires}
		if got := store.At(r.Millis()); got != test.expected {
			t.Errorf("%s: %v, want %v", test.name, got, test.expected)
		}
	}
}

package directory

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A name that nobody has is refused after the time of one of the last binds, and of no other.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		waited := func() time.Duration {
			start := time.Now()
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			return time.Since(start)
		}
		if took := waited(); took != 0 {
			t.Errorf("before the first bind: %s", took)
		}
		p.note(time.Hour)
		for i := range len(p.last) {
			p.note(time.Duration(i+1) * time.Millisecond)
		}
		seen := make(map[time.Duration]bool)
		for range 1000 {
			took := waited()
			if seen[took] = true; took < time.Millisecond || took > 32*time.Millisecond {
				t.Fatalf("%s is none of the last times", took)
			}
		}
		if len(seen) < 20 {
			t.Errorf("always one of %d", len(seen))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.wait(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

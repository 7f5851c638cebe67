package tokenep_test

import (
	"strconv"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// The memory of proven pairs is bounded, and never has one that was not proven.
func TestProvenIsBounded(t *testing.T) {
	const most, hash = 1 << 14, "$2b$10$"
	var p tokenep.Proven
	pair := func(n int) tokenep.ProvenPair { return p.Pair([]byte(hash), []byte(strconv.Itoa(n))) }
	for n := range most + 100 {
		if p.Has(pair(n)) {
			t.Fatalf("%d is proven before it was", n)
		}
		if p.Add(pair(n)); !p.Has(pair(n)) {
			t.Fatalf("%d is not proven", n)
		}
	}
	kept := 0
	for n := range most + 100 {
		if p.Has(pair(n)) {
			kept++
		}
	}
	if kept != most {
		t.Errorf("%d are kept, want %d", kept, most)
	}
	p.Add(p.Pair([]byte("ab"), []byte("c")))
	if p.Has(p.Pair([]byte("a"), []byte("bc"))) {
		t.Error("a pair is taken for another with the same letters")
	}
}

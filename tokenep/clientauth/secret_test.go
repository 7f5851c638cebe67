package clientauth

import (
	"strconv"
	"testing"
	"time"
)

// Proven secrets are remembered in bounded memory, and the newest always is.
func TestProvenBounded(t *testing.T) {
	s := NewSecrets(SecretOptions{Now: time.Now})
	for i := range maxProven + 10 {
		pair := s.pair("hash", strconv.Itoa(i))
		s.remember(pair)
		if !s.isProven(pair) {
			t.Fatalf("%d is forgotten at once", i)
		}
	}
	if n := len(s.proven); n != maxProven {
		t.Errorf("%d are remembered, at most %d may be", n, maxProven)
	}
}

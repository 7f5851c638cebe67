package server

import (
	"strconv"
	"testing"
	"time"
)

// When many people are known, a few are forgotten for new ones, and never all of them at once: each
// costs a look at the store.
func TestKnownPeopleAreForgottenOneByOne(t *testing.T) {
	var k knownPeople
	now := time.Now()
	for n := range maxKnownPeople + 1000 {
		k.put(strconv.Itoa(n), knownPerson{at: now.Add(time.Duration(n))})
	}
	known := 0
	for n := range maxKnownPeople + 1000 {
		if !k.get(strconv.Itoa(n)).at.IsZero() {
			known++
		}
	}
	if known != maxKnownPeople {
		t.Errorf("%d are known, want %d", known, maxKnownPeople)
	}
	if k.get(strconv.Itoa(maxKnownPeople + 999)).at.IsZero() {
		t.Error("the newest is not known")
	}
}

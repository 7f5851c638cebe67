package state_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// A set counts as followed from the moment at which the store was asked, and only if it answered.
func TestSetIsFollowedWhenTheStoreAnswers(t *testing.T) {
	c := newClock()
	f := storetest.NewFaulty(newMemory(t, c.Now))
	set := new(verify.Revocations)
	node := state.NewRevocations(f, set, c.Now, slog.New(slog.DiscardHandler))
	issuer := verifytest.New("https://as.example", "https://api.example")
	issuer.Now = c.Now
	trusted := issuer.Trust()
	trusted.Revocations, trusted.RevocationMaxAge = set, time.Minute
	v, err := verify.New(verify.Config{Issuers: []verify.Issuer{trusted}, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	stale := func() bool {
		_, err := v.Verify(t.Context(), issuer.Sign(nil))
		return errors.Is(err, verify.ErrStale)
	}
	if !stale() {
		t.Error("complete before the log was read")
	}
	if err := node.Start(t.Context()); err != nil || stale() {
		t.Errorf("not complete after the start: %v", err)
	}
	f.Fail(away())
	c.Advance(2 * time.Minute)
	if err := node.Follow(t.Context()); err == nil || !stale() {
		t.Errorf("complete though the store did not answer: %v", err)
	}
	f.Fail(nil)
	if err := node.Follow(t.Context()); err != nil || stale() {
		t.Errorf("not complete though the store answers again: %v", err)
	}
}

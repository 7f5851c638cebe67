package server_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// A process that begins ends the families of which another one has ended the access tokens, and
// died.
func TestStartFinishesWhatWasInterrupted(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.WithPeople)
	_, token := s.Granted(t, tokeneptest.RedeemCode("site", s.Code(t, "site")))
	err := s.Revocations.Add(t.Context(), verify.Revocation{Claim: "grant_id", Value: token.GrantID, Expires: s.Clock.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	revoked := func() bool {
		r, err := s.Store.Load(t.Context(), "family", token.GrantID)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Contains(r.Data, []byte("revoked_at"))
	}
	if revoked() {
		t.Fatal("it is ended already")
	}
	config := s.Config
	config.Memory = server.NewMemory(s.Clock.Now)
	if err := s.Next(t, config).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	// It happens in the background.
	for end := time.Now().Add(10 * time.Second); !revoked(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not ended")
		}
	}
}

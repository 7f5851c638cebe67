package server_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// While the store is away verification goes on: for ever, or for as long as the configuration says.
func TestStoreThatIsAwayForLongerThanRevocationsMayAge(t *testing.T) {
	bounded := tokeneptest.New(t, func(c *server.Config) { c.RevocationMaxAge = time.Minute })
	unbounded := tokeneptest.New(t)
	for _, f := range []*tokeneptest.Server{bounded, unbounded} {
		token := f.Mint(t, tokenep.Claims{})
		f.Store.SetAway(true)
		f.Clock.Advance(50 * time.Second)
		if _, err := f.Verify(t, token); err != nil {
			t.Fatalf("within the bound: %v", err)
		}
		f.Clock.Advance(9 * time.Minute)
		if _, err := f.Verify(t, token); (f == bounded) != errors.Is(err, verify.ErrStale) {
			t.Errorf("after ten minutes, bounded %t: %v", f == bounded, err)
		}
	}
	// A subject token is verified in the same way: an exchange is 503 then.
	request := post("grant_type", exchange, "subject_token", bounded.Mint(t, tokenep.Claims{}), "subject_token_type", accessToken).By("billing")
	if a := bounded.Send(t, request); a.Status != http.StatusServiceUnavailable {
		t.Errorf("an exchange: status %d, want 503", a.Status)
	}
}

func TestRevocationMaxAgeLeavesRoomToReadThem(t *testing.T) {
	for age, ok := range map[time.Duration]bool{0: true, 5 * time.Second: true, 5*time.Second - 1: false, -time.Hour: false} {
		_, err := server.New(server.Config{Issuer: issuer, Store: memory.New(memory.Options{}), RevocationMaxAge: age})
		if (err == nil) != ok {
			t.Errorf("%s: %v", age, err)
		}
	}
	for interval, ok := range map[time.Duration]bool{
		0: true, 10 * time.Millisecond: true, 10*time.Millisecond - 1: false, time.Second: true, time.Second + 1: false, -time.Second: false,
	} {
		_, err := server.New(server.Config{Issuer: issuer, Store: memory.New(memory.Options{}), RevocationInterval: interval})
		if (err == nil) != ok {
			t.Errorf("each %s: %v", interval, err)
		}
	}
}

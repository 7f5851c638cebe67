package endpoint_test

import (
	"cmp"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// RFC 8628 §5.1: few codes can be tried.
func TestDeviceGuesses(t *testing.T) {
	s, _ := newSite(t, withTV, tokeneptest.Limited, func(c *server.Config) { c.RateLimit = tokenep.RateLimit{Failures: 2, Per: tokenep.Duration(time.Hour)} })
	_, userCode := askForCode(t, s)
	b := ann(t, s)
	statuses := make(map[int]int)
	for range 6 {
		statuses[b.Open(t, devicePath+"?user_code=BBBB-BBBB").Status]++
	}
	if statuses[http.StatusTooManyRequests] == 0 || statuses[http.StatusBadRequest] < 2 {
		t.Errorf("statuses %v", statuses)
	}
	if a := b.Open(t, devicePath+"?user_code="+userCode); a.Status != http.StatusTooManyRequests {
		t.Errorf("the right one: %d, want 429 as well", a.Status)
	}
}

// RFC 8628 §5.1: whoever moves from address to address has no more guesses, not even after having
// been right with a code of one's own; others have theirs. The page says what was too much.
func TestDeviceGuessesOfAPerson(t *testing.T) {
	limit := tokenep.RateLimit{Failures: 4, Per: tokenep.Duration(time.Hour)}
	s, _ := newSite(t, withTV, tokeneptest.Limited, func(c *server.Config) {
		c.RateLimit = limit
		c.ClientAddress = func(r *http.Request) netip.Addr {
			return netip.MustParseAddr(cmp.Or(r.Header.Get("Test-Address"), "192.0.2.1"))
		}
	})
	_, userCode := askForCode(t, s)
	b := ann(t, s)
	try := func(b *tokeneptest.Browser, from, code string) int {
		t.Helper()
		b.Header.Set("Test-Address", from)
		return b.Open(t, devicePath+"?user_code="+code).Status
	}
	if got := try(b, "192.0.2.9", userCode); got != http.StatusOK {
		t.Fatalf("a code of one's own: %d", got)
	}
	for range 5 { // from five addresses, without the delay that they would have
		address := netip.AddrFrom4([4]byte{203, 0, 113, byte(s.Config.Memory.Limiter.Len())})
		if err := s.Config.Memory.Limiter.Guess(limit, address, "device ann").Count(); err != nil {
			t.Fatal(err)
		}
	}
	if got := try(b, "2001:db8::1", "BBBB-BBBB"); got != http.StatusTooManyRequests || !strings.Contains(b.Text(), "Too many codes were entered that no device has.") {
		t.Errorf("from one more address: %d %s", got, b.Text())
	}
	if got := try(b, "192.0.2.9", userCode); got != http.StatusTooManyRequests {
		t.Errorf("where a code was right before: %d", got)
	}
	bob := s.Browser()
	bob.Open(t, tokeneptest.SignInPath)
	bob.SignIn(t, "bob")
	if got := try(bob, "2001:db8::1", userCode); got != http.StatusOK {
		t.Errorf("bob, at one of these addresses: %d %s", got, bob.Text())
	}
	s.Clock.Advance(2 * time.Hour)
	if got := try(b, "2001:db8::1", userCode); got == http.StatusTooManyRequests {
		t.Errorf("two hours later: %d", got)
	}
}

// RFC 8628 §3.1: as many codes as the configuration says, at all addresses together; then the
// device is told when to ask again.
func TestDeviceCodesPerHour(t *testing.T) {
	s, _ := newSite(t, withTV, func(c *server.Config) {
		c.DeviceCode.PerHour = 3
		c.ClientAddress = func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("Test-Address")) }
	})
	ask := func(from string) tokeneptest.Answer {
		return s.Send(t, tokeneptest.Post("client_id", "tv").At("/oauth/device_authorization").With("Test-Address", from))
	}
	for _, from := range []string{"192.0.2.1", "198.51.100.1", "2001:db8::1"} {
		if a := ask(from); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	a := ask("203.0.113.1")
	if a.Refused(t, http.StatusTooManyRequests, tokenep.TemporarilyUnavailable); a.Header.Get("Retry-After") != "1200" {
		t.Errorf("Retry-After: %s, want 1200", a.Header.Get("Retry-After"))
	}
	s.Clock.Advance(20 * time.Minute)
	if a := ask("203.0.113.1"); a.Status != http.StatusOK {
		t.Errorf("when there is room again: %d %s", a.Status, a.Body)
	}
}

package clientauth_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// await sends a request, lets it pass the delays of the limit, and returns the answer.
func (f *flooded) await(r request) tokeneptest.Answer {
	answers := f.send(r)
	f.finish()
	time.Sleep(2 * time.Second) // the longest delay
	f.finish()
	return <-answers
}

// shutOut sends wrong secrets, a few at a time, until all answers are 429.
func (f *flooded) shutOut(guess func(i int) request) {
	for i := 0; i < 1000; i += 5 {
		answers := f.send(guess(i), guess(i+1), guess(i+2), guess(i+3), guess(i+4))
		got := count(answers)
		if got[429] == 5 {
			return
		}
		f.finish()
		time.Sleep(2 * time.Second) // the longest delay
		f.finish()
	}
	f.t.Fatal("guessing goes on for ever")
}

// Wrong secrets of one client shut out that client at that address, and no other client there.
func TestRateLimitOfOneClient(t *testing.T) {
	flood(t, 2, func(f *flooded) {
		f.shutOut(func(i int) request { return from(attacker, plain.Basic("anna", fmt.Sprint(i))) })
		for name, r := range map[string]request{
			"a right secret": plain.By("anna"), "the body": post("grant_type", cc, "client_id", "anna", "client_secret", "anna-secret"),
			"another endpoint": post("token", "x").By("anna").At(tokeneptest.RevokePath),
		} {
			if a := <-f.send(from(attacker, r)); a.Status != 429 {
				f.t.Errorf("%s: %d", name, a.Status)
			}
		}
		for name, r := range map[string]request{
			"another client there": from(attacker, plain.By("bert")), "one with a generated secret": from(attacker, plain.By("billing")),
			"the client elsewhere": from(elsewhere, plain.By("anna")),
		} {
			if a := f.await(r); a.Status != 200 {
				f.t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
		time.Sleep(200 * time.Second)
		if a := f.await(from(attacker, plain.By("anna"))); a.Status != 200 {
			f.t.Errorf("later: %d %s", a.Status, a.Body)
		}
	})
}

// Wrong secrets of many clients shut out the address, but no client that has succeeded from there
// lately. Its own guesses count all the same.
func TestRateLimitOfAnAddress(t *testing.T) {
	flood(t, 2, func(f *flooded) {
		if a := f.await(from(attacker, plain.By("anna"))); a.Status != 200 {
			f.t.Fatal(a.Status)
		}
		flooding := func() {
			f.shutOut(func(i int) request { return from(attacker, plain.Basic(fmt.Sprint("nobody", i), "x")) })
		}
		flooding()
		if a := <-f.send(from(attacker, plain.By("bert"))); a.Status != 429 {
			f.t.Errorf("a client that was never seen there: %d", a.Status)
		}
		start := time.Now()
		a := <-f.send(from(attacker, plain.By("anna")))
		if waited := time.Since(start); a.Status != 200 || waited > 0 {
			f.t.Errorf("a client that was seen there lately: %d after %s", a.Status, waited)
		}
		if a := f.await(from(elsewhere, plain.By("bert"))); a.Status != 200 {
			f.t.Errorf("another address: %d", a.Status)
		}
		time.Sleep(time.Hour)
		flooding()
		if a := <-f.send(from(attacker, plain.By("anna"))); a.Status != 429 {
			f.t.Errorf("a client that was seen there more than an hour ago: %d", a.Status)
		}
		time.Sleep(10 * time.Minute)
		f.await(from(attacker, plain.By("anna")))
		f.shutOut(func(i int) request { return from(attacker, plain.Basic("anna", fmt.Sprint("guess", i))) })
	})
}

// The limit can be set: so many failures, of which so many are forgotten in this time.
func TestRateLimitSet(t *testing.T) {
	set := func(c *server.Config) {
		c.RateLimit = tokenep.RateLimit{Failures: 3, Per: tokenep.Duration(time.Hour)}
	}
	flood(t, 2, func(f *flooded) {
		f.shutOut(func(i int) request { return from(attacker, plain.Basic("anna", fmt.Sprint(i))) })
		if f.comparisons().total > 4 {
			f.t.Errorf("%d secrets are judged, want 4 at the most", f.comparisons().total)
		}
		a := <-f.send(from(attacker, plain.By("anna")))
		a.Refused(f.t, 429, tokenep.TemporarilyUnavailable)
		if a.Header.Get("Retry-After") > "2400" || len(a.Header.Get("Retry-After")) != 4 {
			f.t.Errorf("Retry-After: %s", a.Header.Get("Retry-After"))
		}
		time.Sleep(2400 * time.Second)
		if a := f.await(from(attacker, plain.By("anna"))); a.Status != 200 {
			f.t.Errorf("after that time: %d", a.Status)
		}
	}, set)
}

// What cannot be meant is no limit.
func TestRateLimitValidate(t *testing.T) {
	for limit, good := range map[tokenep.RateLimit]bool{
		{}: true, {Off: true}: true, {Failures: 1, Per: tokenep.Duration(time.Second)}: true,
		{Failures: 10_000, Per: tokenep.Duration(time.Hour)}: true,
		{Off: true, Failures: 1}:                             false, {Off: true, Per: 1}: false, {Failures: 20}: false,
		{Per: tokenep.Duration(time.Hour)}: false, {Failures: -1, Per: tokenep.Duration(time.Hour)}: false,
		{Failures: 10_001, Per: tokenep.Duration(time.Hour)}:            false,
		{Failures: 20, Per: tokenep.Duration(time.Second - 1)}:          false,
		{Failures: 20, Per: tokenep.Duration(-time.Hour)}:               false,
		{Off: true, Failures: 20, Per: tokenep.Duration(1 * time.Hour)}: false,
	} {
		c := tokeneptest.Config(nil, time.Now)
		c.Store, c.RateLimit = &tokeneptest.Store{}, limit
		if _, err := server.New(c); (err == nil) != good {
			t.Errorf("%+v: %v", limit, err)
		}
	}
}

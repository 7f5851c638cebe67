package tokenep_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// signIns is a Passwords over one person, ada, whose password is right.
type signIns struct {
	tokenep.Passwords

	asked atomic.Int64
	end   chan struct{} // ends one comparison; nil: all end at once
	away  error
}

func newSignIns(turns *tokenep.Turns) *signIns {
	s := &signIns{Passwords: tokenep.Passwords{
		Limiter: &tokenep.Limiter{Now: time.Now, Remember: 30 * 24 * time.Hour}, Now: time.Now,
		Active: func(context.Context, string, time.Time) error { return nil },
	}}
	s.Source = &tokenep.UserSource{Turns: turns, Authenticate: func(ctx context.Context, name, password string) (tokenep.User, error) {
		s.asked.Add(1)
		if s.end != nil {
			select {
			case <-s.end:
			case <-ctx.Done():
				return tokenep.User{}, ctx.Err()
			}
		}
		switch {
		case s.away != nil:
			return tokenep.User{}, s.away
		case name == "ada" && password == "right":
			return tokenep.User{Subject: name}, nil
		}
		return tokenep.User{}, tokenep.ErrNoUser
	}}
	return s
}

var home, away, attackers = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1"), netip.MustParsePrefix("10.0.0.0/8")

// status signs in, and returns the status and how long that took.
func (s *signIns) status(t *testing.T, from netip.Addr, name, password string) (status int, took time.Duration) {
	start := time.Now()
	_, err := s.SignIn(t.Context(), from, name, password)
	if err == nil {
		return http.StatusOK, time.Since(start)
	}
	return tokenep.AsError(err).Status, time.Since(start)
}

// guess makes wrong guesses at a password, each from another address.
func (s *signIns) guess(t *testing.T, n int, name string) {
	a := attackers.Addr()
	for range n {
		a = a.Next()
		if status, _ := s.status(t, a, name, "wrong"); status != http.StatusBadRequest {
			t.Fatalf("a guess gets %d", status)
		}
	}
}

// RFC 6749 §10.10, §4.3.2: guesses from everywhere at one name become slow, and nobody is locked
// out. Where the owner has signed in lately, nothing is slow.
func TestSignInFromEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSignIns(nil)
		if status, took := s.status(t, home, "ada", "right"); status != 200 || took > 0 {
			t.Fatal(status, took)
		}
		s.guess(t, 400, "ada")
		if status, took := s.status(t, home, "ada", "right"); status != 200 || took > 0 {
			t.Errorf("at home: %d after %s", status, took)
		}
		if status, took := s.status(t, home, "ada", "wrong"); status != 400 || took > 0 {
			t.Errorf("a mistake at home: %d after %s", status, took)
		}
		for _, name := range []string{"ada", "ADA", " \u00e1d\u0061 "} { // as directories have it
			status, took := s.status(t, away, name, "wrong")
			if status != 400 || took < 2*time.Second || took > 10*time.Second {
				t.Errorf("%q elsewhere: %d after %s", name, status, took)
			}
		}
		if status, took := s.status(t, away, "ada", "right"); status != 200 || took > 10*time.Second {
			t.Errorf("the owner elsewhere: %d after %s; want in", status, took)
		}
		if status, took := s.status(t, away, "ada", "right"); status != 200 || took > 0 {
			t.Errorf("and again: %d after %s", status, took)
		}
		if status, took := s.status(t, away, "bert", "wrong"); status != 400 || took > 0 {
			t.Errorf("another name: %d after %s", status, took)
		}
		time.Sleep(time.Hour) // all is forgotten
		if status, took := s.status(t, attackers.Addr(), "ada", "wrong"); status != 400 || took > 0 {
			t.Errorf("later: %d after %s", status, took)
		}
	})
}

// A name that nobody has is slowed down as one that somebody has.
func TestSignInOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delays := make(map[string]time.Duration)
		for _, name := range []string{"ada", "nobody"} {
			s := newSignIns(nil)
			s.guess(t, 120, name)
			_, delays[name] = s.status(t, away, name, "wrong")
		}
		if delays["ada"] != delays["nobody"] || delays["ada"] == 0 {
			t.Errorf("%v", delays)
		}
	})
}

// From one address 100 names can be guessed at, as at clients; then it is refused.
func TestSignInFromOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSignIns(nil)
		var judged atomic.Int64
		var crowd sync.WaitGroup
		for i := range 300 {
			crowd.Go(func() {
				if status, _ := s.status(t, home, fmt.Sprint("nobody", i), "wrong"); status == http.StatusBadRequest {
					judged.Add(1)
				}
			})
		}
		crowd.Wait()
		if n := judged.Load(); n != 101 {
			t.Errorf("%d of 300 names are judged", n)
		}
		err := func() error { _, err := s.SignIn(t.Context(), home, "ada", "right"); return err }()
		if e := tokenep.AsError(err); e.Status != http.StatusTooManyRequests || e.RetryAfter <= 0 || e.Description == "" {
			t.Errorf("then a right one gets %v", err)
		}
		if status, _ := s.status(t, away, "ada", "right"); status != 200 {
			t.Errorf("from elsewhere: %d", status)
		}
	})
}

// Of many guesses that come at once no more are judged than one after the other, they wait for
// their turns, and others are served between them.
func TestSignInCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSignIns(tokenep.NewTurns(1))
		s.end = make(chan struct{})
		statuses := make(chan int, 200)
		for range 200 {
			go func() { status, _ := s.status(t, home, "ada", "wrong"); statuses <- status }()
		}
		synctest.Wait()
		if n := s.asked.Load(); n != 1 {
			t.Errorf("%d passwords are compared at once", n)
		}
		if len(statuses) != 200-1-8 {
			t.Errorf("%d are refused at once", len(statuses))
		}
		for len(statuses) > 0 {
			if status := <-statuses; status != http.StatusServiceUnavailable {
				t.Errorf("without room: %d", status)
			}
		}
		good := make(chan int, 1)
		go func() { status, _ := s.status(t, away, "ada", "right"); good <- status }()
		synctest.Wait()
		for range 2 { // the one that runs, and its own
			s.end <- struct{}{}
			time.Sleep(time.Second) // the slot has rested
		}
		if len(good) != 1 || <-good != 200 {
			t.Error("somebody from elsewhere waits for more than a turn")
		}
		for range 8 {
			s.end <- struct{}{}
			time.Sleep(time.Second)
		}
	})
}

// Where nobody knows, nothing was a failure; and whoever hangs up before the answer has guessed all
// the same.
func TestSignInWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSignIns(nil)
		s.away = errors.New("the directory is away")
		for range 300 {
			if status, took := s.status(t, home, "ada", "right"); status != 503 || took > 0 {
				t.Fatalf("%d after %s", status, took)
			}
		}
		if n := s.Limiter.Len(); n != 0 {
			t.Errorf("%d failures are remembered", n)
		}
		s.away, s.end = nil, make(chan struct{})
		for range 30 {
			ctx, cancel := context.WithCancel(t.Context())
			go func() { _, _ = s.SignIn(ctx, home, "ada", "guess") }()
			time.Sleep(3 * time.Second)
			cancel()
			synctest.Wait()
		}
		if s.Limiter.Len() == 0 {
			t.Error("those who hang up are not counted")
		}
	})
}

// What people type, as sources are asked for it.
func TestReadLogin(t *testing.T) {
	long := func(n int) string { return string(make([]byte, n)) }
	for _, tc := range []struct {
		name, password, wantName, wantPassword string
		ok                                     bool
	}{
		{"ada", "x", "ada", "x", true},
		{" ada\t", " x ", "ada", " x ", true},
		{"Ada Lovelace", "correct horse", "Ada Lovelace", "correct horse", true},
		{"a\u0308", "a\u0308", "\u00e4", "\u00e4", true},
		{"\u212b", "\u212b", "\u00c5", "\u00c5", true}, // the sign of the unit is the letter
		{"\uff21", "\uff21", "\uff21", "\uff21", true}, // width is told apart
		{"ada", "x\ny", "ada", "x\ny", true},
		{"", "x", "", "", false},
		{"ada", "", "", "", false},
		{" \u3000", "x", "", "", false},
		{"a\nb", "x", "", "", false},
		{"a\u0085b", "x", "", "", false},
		{"ada", "x\x00y", "", "", false},
		{"ada", "\xff", "", "", false},
		{"\xff", "x", "", "", false},
		{long(256), "x", "", "", false},
		{"ada", long(1025), "", "", false},
	} {
		name, password, ok := tokenep.ReadLogin(tc.name, tc.password)
		if ok != tc.ok || ok && (name != tc.wantName || password != tc.wantPassword) {
			t.Errorf("%.20q %.20q: %q %q %v", tc.name, tc.password, name, password, ok)
		}
	}
}

// Whatever is read is read as the same again, and is what a configuration may have.
func FuzzReadLogin(f *testing.F) {
	for _, seed := range []string{"ada", " a\u0308 ", "\xff", "\u1e9b\u0323", "x\x00"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, name, password string) {
		n, p, ok := tokenep.ReadLogin(name, password)
		if !ok {
			return
		}
		if n2, p2, ok := tokenep.ReadLogin(n, p); !ok || n2 != n || p2 != p {
			t.Errorf("%q %q is read as %q %q, and that as %q %q (%v)", name, password, n, p, n2, p2, ok)
		}
		if err := tokenep.CheckLoginName(n); err != nil {
			t.Errorf("%q: %v", n, err)
		}
	})
}

// RFC 8264 §9.13, RFC 4518 §2.2: characters that a directory passes over make no other name of the
// same person, at whose password one could guess anew.
func TestNamesHaveNothingInvisible(t *testing.T) {
	s := newSignIns(nil)
	for _, r := range "\u00ad\u034f\u1806\u180b\u180e\u200b\u200d\u202e\u2060\u206a\u3164\ufe0f\ufeff\ufff9\ufffc\U000e0020\U000e0100\u007f" {
		if status, _ := s.status(t, home, "a"+string(r)+"da", "right"); status != http.StatusBadRequest {
			t.Errorf("%U: %d", r, status)
		}
	}
	if n := s.asked.Load(); n != 0 {
		t.Errorf("the source was asked %d times", n)
	}
}

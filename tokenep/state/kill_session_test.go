package state_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// An acknowledged step of a session. It is said before the session goes on, so that what a kill
// takes is the answer to the one after it, at most.
type acknowledged struct {
	Session string
	Step    string
	Text    string // the code, token or id that it was about
	Family  string // that the code is for
}

// session does what is good for once, of the n-th kind, and says each step.
func (i *issuer) session(ctx context.Context, name string, n int, say func(acknowledged)) error {
	type step struct {
		says string
		do   func(last string) (string, error)
	}
	var made state.Code
	issue := step{"code issued", func(string) (code string, err error) { code, made, err = i.signIn(ctx, name); return code, err }}
	rotate := step{"rotated", func(token string) (string, error) { return i.refresh(ctx, token) }}
	kinds := [][]step{
		{
			issue,
			{"code redeemed", func(code string) (string, error) { _, err := redeem(ctx, i.codes, code, anyCode); return code, err }},
			{"family started", func(string) (string, error) { t, _, err := i.families.Start(ctx, fromCode(made)); return t, err }},
			rotate, rotate, rotate,
		},
		{
			issue,
			{"code raced for", func(code string) (string, error) { return code, i.raceForCode(ctx, name, code, say) }},
		},
		{
			{"device allowed", func(string) (string, error) { return i.allowedDevice(ctx, name) }},
			{"device polled", func(code string) (string, error) { _, err := poll(ctx, i.devices, code, anyDevice); return code, err }},
		},
		{
			{"id seen", func(string) (string, error) { return name, i.seen.Add(ctx, "kill", name, i.now().Add(time.Minute)) }},
			{"revoked", func(string) (string, error) { return name, i.revoke(ctx, name) }},
		},
		{
			{"API token made", func(string) (string, error) { t, _, err := i.tokens.Create(ctx, ask(name)); return t, err }},
			{"API token rolled", func(token string) (string, error) { return i.roll(ctx, token, time.Hour) }},
			{"API token rolled again", func(token string) (string, error) { return i.roll(ctx, token, time.Hour) }},
		},
		{
			{"signed in elsewhere", func(string) (string, error) { return i.startBrowser(ctx, name, "") }},
			{"signed in", func(string) (string, error) { return i.startBrowser(ctx, name, "") }},
			{"signed in again", func(old string) (string, error) { return i.startBrowser(ctx, name, old) }},
			{"signed out", func(browser string) (string, error) { return browser, i.browsers.End(ctx, name, browserID(browser)) }},
		},
		{
			{"signed in", func(string) (string, error) { return i.startBrowser(ctx, name, "") }},
			{"signed out", func(browser string) (string, error) { return browser, i.browsers.EndAll(ctx, name) }},
		},
	}
	last := ""
	for _, step := range kinds[n%len(kinds)] {
		var err error
		if last, err = step.do(last); err != nil {
			return err
		}
		say(acknowledged{Session: name, Step: step.says, Text: last, Family: made.Family})
	}
	return nil
}

// roll uses an API token, and rolls it.
func (i *issuer) roll(ctx context.Context, token string, overlap time.Duration) (next string, err error) {
	old, err := exchange(ctx, i.tokens, token)
	if err == nil {
		next, _, err = i.tokens.Roll(ctx, old.ID, overlap)
	}
	return next, err
}

// raceForCode has two redeem a code at once.
func (i *issuer) raceForCode(ctx context.Context, name, code string, say func(acknowledged)) error {
	var errs [2]error
	var wg sync.WaitGroup
	for n := range errs {
		wg.Go(func() {
			if _, errs[n] = redeem(ctx, i.codes, code, anyCode); errs[n] == nil {
				say(acknowledged{Session: name, Step: "code redeemed", Text: code})
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, state.ErrSpent) {
			return err
		}
	}
	return nil
}

// A told session is what was acknowledged of it.
type told map[string][]acknowledged // by step

func (s told) last(step string) (text string, ok bool) {
	steps := s[step]
	if len(steps) == 0 {
		return "", false
	}
	return steps[len(steps)-1].Text, true
}

// check holds the state that is left after a kill against what a session was told. It ends the
// session's family, by a replay of its code, or, if reuse is set, of its first refresh token.
func (s told) check(t *testing.T, i *issuer, reuse bool) {
	if n := len(s["code redeemed"]); n > 1 {
		t.Errorf("one code was redeemed %d times", n)
	}
	s.checkFamily(t, i, reuse)
	s.checkCode(t, i)
	s.checkOnce(t, i)
	s.checkAPIToken(t, i)
	s.checkBrowsers(t, i)
	if jti, ok := s.last("revoked"); ok && !i.revoked(jti) {
		t.Errorf("the access token %s was revoked, and is good", jti)
	}
}

// checkFamily: the newest token that a client was given works, however many answers to it were
// lost; and there is one line.
func (s told) checkFamily(t *testing.T, i *issuer, reuse bool) {
	first, ok := s.last("family started")
	if !ok {
		return
	}
	newest, ok := s.last("rotated")
	if !ok {
		newest = first
	}
	next, err := i.refresh(t.Context(), newest)
	again, errAgain := i.refresh(t.Context(), newest)
	if err != nil || errAgain != nil || next != again {
		t.Errorf("the newest token of a client: %v, and again: %v, the same successor: %v", err, errAgain, next == again)
		return
	}
	if next, err = i.refresh(t.Context(), next); err != nil {
		t.Errorf("its successor: %v", err)
	}
	if !reuse {
		return
	}
	if _, err := i.refresh(t.Context(), first); !errors.Is(err, state.ErrReused) {
		t.Errorf("the first token: %v, want ErrReused", err)
	}
	if _, err := i.refresh(t.Context(), next); !errors.Is(err, state.ErrRevoked) {
		t.Errorf("the newest token after reuse: %v, want ErrRevoked", err)
	}
}

// checkCode: a code that was redeemed is not redeemed again, and what it gave ends when somebody
// tries. A code whose answer was lost gives one family or none.
func (s told) checkCode(t *testing.T, i *issuer) {
	if s["code issued"] == nil {
		return
	}
	issued := s["code issued"][0]
	token, err := i.redeem(t.Context(), issued.Text)
	if _, before := s.last("code redeemed"); before && !errors.Is(err, state.ErrSpent) {
		t.Errorf("a code that was redeemed before: %v, want ErrSpent", err)
	}
	if err == nil { // it was good still
		if token, err = i.refresh(t.Context(), token); err != nil {
			t.Errorf("the family of a code that was good still: %v", err)
		}
		_, err = i.redeem(t.Context(), issued.Text)
	} else if newest, ok := s.last("rotated"); ok {
		token = newest
	}
	if !errors.Is(err, state.ErrSpent) {
		t.Errorf("a code once more: %v, want ErrSpent", err)
	}
	if _, err := i.refresh(t.Context(), token); token != "" && !errors.Is(err, state.ErrRevoked) {
		t.Errorf("a refresh token after the code was replayed: %v, want ErrRevoked", err)
	}
	f := aFamily()
	f.ID = issued.Family
	if _, _, err := i.families.Start(t.Context(), f); !errors.Is(err, state.ErrRevoked) {
		t.Errorf("a second family of one code: %v, want ErrRevoked", err)
	}
	if !i.grantRevoked(issued.Family) {
		t.Error("its access tokens are good")
	}
}

// checkOnce: a device gets its tokens once, and an id is taken once.
func (s told) checkOnce(t *testing.T, i *issuer) {
	if code, ok := s.last("device allowed"); ok {
		_, err := poll(t.Context(), i.devices, code, anyDevice)
		if _, polled := s.last("device polled"); polled && !errors.Is(err, state.ErrSpent) {
			t.Errorf("a device that has its tokens: %v, want ErrSpent", err)
		} else if err != nil && !errors.Is(err, state.ErrSpent) {
			t.Errorf("a device that was allowed: %v, want its tokens, or ErrSpent if the answer was lost", err)
		}
		if _, err := poll(t.Context(), i.devices, code, anyDevice); !errors.Is(err, state.ErrSpent) {
			t.Errorf("a device once more: %v, want ErrSpent", err)
		}
	}
	if id, ok := s.last("id seen"); ok {
		if err := i.seen.Add(t.Context(), "kill", id, i.now().Add(time.Minute)); !errors.Is(err, state.ErrSpent) {
			t.Errorf("an id that was seen: %v, want ErrSpent", err)
		}
	}
}

// checkAPIToken wants each secret of an API token that was shown to work: all of them were rolled
// with an overlap.
func (s told) checkAPIToken(t *testing.T, i *issuer) {
	for _, step := range []string{"API token made", "API token rolled", "API token rolled again"} {
		token, ok := s.last(step)
		if !ok {
			return
		}
		if _, err := exchange(t.Context(), i.tokens, token); err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}
}

// startBrowser signs somebody in, in a browser that had the session old before. It returns the id
// and the secret.
func (i *issuer) startBrowser(ctx context.Context, user, old string) (string, error) {
	secret, made, err := i.browsers.Start(ctx, user, state.Session{}, browserID(old))
	return made.ID + " " + secret, err
}

func browserID(browser string) string {
	id, _, _ := strings.Cut(browser, " ")
	return id
}

// checkBrowsers: what was signed out stays so, a browser has the session of its last sign-in alone,
// and another one has its own.
func (s told) checkBrowsers(t *testing.T, i *issuer) {
	good := func(step string) (good, known bool) {
		said := s[step]
		if len(said) == 0 {
			return false, false
		}
		id, secret, _ := strings.Cut(said[0].Text, " ")
		_, err := i.browsers.Check(t.Context(), said[0].Session, id, secret)
		if err != nil && !errors.Is(err, state.ErrRefused) {
			t.Errorf("%s: %v", step, err)
		}
		return err == nil, true
	}
	if stays, signedOut := good("signed out"); signedOut && stays {
		t.Error("what was signed out is signed in")
	}
	if stays, _ := good("signed in"); stays && s["signed in again"] != nil {
		t.Error("a browser has the session of two sign-ins")
	}
	if stays, known := good("signed in elsewhere"); known && !stays {
		t.Error("another browser is signed out")
	}
}

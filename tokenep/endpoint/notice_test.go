package endpoint_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// RFC 6749 §10.12: what the page says was done is said to whoever has done it, in that browser and
// for a minute. No link can have it say so to anybody else.
func TestNoticeIsForWhoDidIt(t *testing.T) {
	s, ann := account(t)
	bob := s.Browser()
	bob.Open(t, tokeneptest.AccountPath)
	bob.SignIn(t, "bob")
	const revoked = "The API token was revoked."
	makeToken(t, ann)
	ann.Open(t, tokeneptest.AccountPath)
	ann.Submit(t, "revoke")
	link := ann.At()
	says := func(b *tokeneptest.Browser, path string) bool {
		t.Helper()
		b.Open(t, path)
		if !strings.Contains(b.Text(), "You are signed in as") {
			t.Fatalf("at %s: %s", b.At(), b.Text())
		}
		return strings.Contains(b.Text(), revoked)
	}
	if !says(ann, link) {
		t.Errorf("%s; want what was done, also when the page is loaded again", ann.Text())
	}
	elsewhere := s.Browser()
	elsewhere.Open(t, tokeneptest.AccountPath)
	elsewhere.SignIn(t, "ann")
	for who, b := range map[string]*tokeneptest.Browser{"bob": bob, "ann, elsewhere": elsewhere} {
		if says(b, link) {
			t.Errorf("%s is told what ann has done in her browser", who)
		}
	}
	for _, text := range []string{"view=account.revoked", "notice=account.revoked", "view=account.ended", "view=account.failed", "view=account.again"} {
		if ann.Open(t, tokeneptest.AccountPath+"?"+text); strings.Contains(ann.Text(), "signed out") || strings.Contains(ann.Text(), revoked) ||
			strings.Contains(ann.Text(), "could not be done") || strings.Contains(ann.Text(), "signed in again") {
			t.Errorf("%s: %s; want no notice", text, ann.Text())
		}
	}
	here := *ann // somebody else signs in in the same browser
	here.Cookies = map[string]string{browserCookie: ann.Cookies[browserCookie]}
	here.Open(t, tokeneptest.AccountPath)
	if here.SignIn(t, "bob"); says(&here, link) {
		t.Error("bob is told what ann has done before in the same browser")
	}
	s.Clock.Advance(time.Minute)
	if says(ann, link) {
		t.Error("it is said for longer than a minute")
	}
}

// What is gone cannot be ended again, and the page does not say that it was.
func TestEndSessionThatIsGone(t *testing.T) {
	s, ann := account(t)
	other := s.Browser()
	other.Open(t, tokeneptest.AccountPath)
	other.SignIn(t, "ann")
	ann.Open(t, tokeneptest.AccountPath)
	again := *ann
	if ann.Submit(t, "end"); !strings.Contains(ann.Text(), "That browser is signed out.") {
		t.Errorf("%s; want the session ended", ann.Text())
	}
	if again.Submit(t, "end"); strings.Contains(again.Text(), "is signed out") || !strings.Contains(again.Text(), "That could not be done.") {
		t.Errorf("%s; want that it was gone", again.Text())
	}
}

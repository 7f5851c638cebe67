package subject_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// What is remembered of answers, and how long: a good one no longer than the token is good, a bad
// one briefly, and an error not at all, but the same token is not asked about again at once.
func TestAnswersAreRemembered(t *testing.T) {
	const good, bad = time.Minute, 10 * time.Second
	for _, tc := range []struct {
		name          string
		status        int
		body          string
		before, after time.Duration // it is asked about again after the latter
	}{
		{"good", 200, `{"user":{"id":"ada"}}`, good - time.Second, good},
		{"good for a while", 200, fmt.Sprintf(`{"user":{"id":"ada"},"expires":%d}`, tokeneptest.Start.Add(20*time.Second).Unix()), 19 * time.Second, 20 * time.Second},
		{"bad", 401, ``, bad - time.Second, bad},
		{"nobody knows", 500, ``, 500 * time.Millisecond, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := newApplication(t, says(tc.status, tc.body))
			f := tokeneptest.New(t, asks(t, subject.HTTPCheckOptions{URL: app.url, Claims: bySub, Answers: outbound.Answers{Good: good, Bad: bad}}, person(t)))
			status := f.Send(t, session("x")).Status
			asked := func(after time.Duration, want int64) {
				t.Helper()
				f.Clock.Advance(after)
				if again := f.Send(t, session("x")).Status; again != status && app.asked.Load() == want && want == 1 {
					t.Errorf("after %s it is %d, want %d", after, again, status)
				}
				if n := app.asked.Load(); n != want {
					t.Errorf("after %s it was asked %d times, want %d", after, n, want)
				}
			}
			asked(0, 1)
			asked(tc.before, 1)
			asked(tc.after-tc.before, 2)
		})
	}
}

// Off is off.
func TestAnswersThatAreNotRemembered(t *testing.T) {
	app := newApplication(t, says(200, `{"user":{"id":"ada"}}`))
	f := tokeneptest.New(t, asks(t, subject.HTTPCheckOptions{URL: app.url, Claims: bySub, Answers: outbound.Answers{Good: -1, Bad: -1}}, person(t)))
	for want := range int64(3) {
		f.Granted(t, session("x"))
		if n := app.asked.Load(); n != want+1 {
			t.Errorf("it was asked %d times, want %d", n, want+1)
		}
	}
}

// A flood of junk displaces no good answer, and each table has its bound.
func TestJunkDisplacesNoGoodAnswer(t *testing.T) {
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("Authorization"), "good") {
			says(200, `{"user":{"id":"ada"}}`)(w, r)
			return
		}
		says(401, ``)(w, r)
	})
	f := tokeneptest.New(t, asks(t, subject.HTTPCheckOptions{URL: app.url, Claims: bySub, Answers: outbound.Answers{Entries: 4}}, person(t)))
	f.Granted(t, session("good"))
	for i := range 20 {
		f.Send(t, session(fmt.Sprint("junk", i))).Refused(t, 400, tokenep.InvalidRequest)
	}
	asked := app.asked.Load()
	f.Granted(t, session("good"))
	if n := app.asked.Load(); n != asked {
		t.Error("it was asked about the good one again")
	}
	for i := range 20 {
		f.Send(t, session(fmt.Sprint("junk", i)))
	}
	if n := app.asked.Load() - asked; n < 16 {
		t.Errorf("of 20 junk tokens %d were asked about again, want all but 4", n)
	}
}

// The application says another name for the same token: whoever came before has what it said then,
// and it is asked about both names under one token alone.
func TestAnotherNameForTheSameToken(t *testing.T) {
	var eve atomic.Bool
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		if eve.Load() {
			says(200, `{"user":{"id":"eve"}}`)(w, r)
			return
		}
		says(200, `{"user":{"id":"ada"}}`)(w, r)
	})
	f := tokeneptest.New(t, asks(t, subject.HTTPCheckOptions{URL: app.url, Claims: bySub}, person(t)))
	about := func(token, want string) {
		t.Helper()
		if _, got := f.Granted(t, session(token)); got.Subject != want {
			t.Errorf("%s is %s, want %s", token, got.Subject, want)
		}
	}
	about("one", "ada")
	eve.Store(true)
	about("one", "ada")
	about("two", "eve")
	f.Clock.Advance(outbound.DefaultGood)
	about("one", "eve")
}

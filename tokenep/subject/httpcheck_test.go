package subject_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

const sessionType = "urn:example:token-type:session"

// application is a legacy application that a test plays. It counts what it is asked.
type application struct {
	url   string
	asked atomic.Int64
}

func newApplication(t testing.TB, answer http.HandlerFunc) *application {
	t.Helper()
	a := new(application)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked.Add(1)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	a.url = s.URL
	return a
}

// says answers whatever is asked with the same.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// person is the policy of most tests: whoever the claim sub says.
func person(t testing.TB) subject.Policy {
	return subject.Policy{
		Name: "person", Subject: value(t, "claims.sub"), Scope: verify.Scope{"orders:write", "orders:read"}, Audience: []string{tokeneptest.Orders},
		TTL: 10 * time.Minute,
	}
}

// asks adds an application to a server, with the clock of that.
func asks(t testing.TB, o subject.HTTPCheckOptions, policies ...subject.Policy) tokeneptest.Change {
	return func(c *server.Config) {
		o.Answers.Now = c.Now
		check, err := subject.NewHTTPCheck(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(check.Close)
		c.Subjects = append(c.Subjects, &subject.Source{Name: check.Name(), Types: []string{sessionType}, Prove: check.Prove, Policies: policies})
	}
}

var bySub = []subject.AnswerClaim{{Name: "sub", Member: "user.id"}, {Name: "exp", Member: "expires"}, {Name: "role", Member: "user.role"}}

func session(token string, pairs ...string) request {
	return tokeneptest.Exchange(token, sessionType, pairs...).By("billing")
}

// unknown is the answer where nobody knows: 503 with Retry-After, and no credential is thrown away.
func unknown(t testing.TB, f *tokeneptest.Server, r request) {
	t.Helper()
	a := f.Send(t, r)
	a.Refused(t, http.StatusServiceUnavailable, tokenep.TemporarilyUnavailable)
	if a.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
}

// RFC 8693 §2.1: a session of the application for an access token.
func TestExchangeOfSessions(t *testing.T) {
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("sid")
		switch {
		case err != nil:
			http.Error(w, "who are you?", http.StatusUnauthorized)
		case strings.HasPrefix(cookie.Value, "s-"):
			_, _ = fmt.Fprintf(w, `{"user":{"id":%q,"role":"staff"},"expires":%d,"secret":"x"}`, cookie.Value[2:], tokeneptest.Start.Add(5*time.Minute).Unix())
		case cookie.Value == "broken":
			http.Error(w, "oops", http.StatusInternalServerError)
		default:
			http.Error(w, "who are you?", http.StatusForbidden)
		}
	})
	staff := person(t)
	staff.When = when(t, `claims.role == "staff" && claims.sub != "eve"`)
	staff.Claims = []subject.Claim{{Name: "role", Value: value(t, "claims.role")}, {Name: "secret", Value: value(t, "claims.secret")}}
	f := tokeneptest.New(t, asks(t, subject.HTTPCheckOptions{URL: app.url + "/me?key=k", Send: subject.SendCookie, Field: "sid", Claims: bySub}, staff))
	f.Run(t, []rule{
		grants("a session", session("s-ada")),
		grants("narrower", session("s-ada", "scope", "orders:read")),
		refuses("wider", session("s-ada", "scope", "invoices"), 400, tokenep.InvalidScope),
		refuses("of another person", session("s-eve"), 400, tokenep.InvalidRequest),
		refuses("not known", session("junk"), 400, tokenep.InvalidRequest),
		refuses("with a second cookie", session("s-ada; admin=1"), 400, tokenep.InvalidRequest),
		refuses("with a line", session("s-ada\r\nX-Admin: 1"), 400, tokenep.InvalidRequest),
		refuses("too long", session(strings.Repeat("s", 17<<10)), 400, tokenep.InvalidRequest),
		refuses("of another type", tokeneptest.Exchange("s-ada", accessToken).By("billing"), 400, tokenep.InvalidRequest),
		refuses("without a client", tokeneptest.Exchange("s-ada", sessionType), 401, tokenep.InvalidClient),
	})
	unknown(t, f, session("broken"))
	_, token := f.Granted(t, session("s-ada"))
	if token.Subject != "ada" || token.Claims["role"] != "staff" || token.Claims["secret"] != nil || token.GrantID != "policy:person" {
		t.Errorf("claims: %v", token.Claims)
	}
	if life := token.Expires.Sub(token.IssuedAt); life != 5*time.Minute {
		t.Errorf("it lives %s, want no longer than the session", life)
	}
	trials, err := f.TryPolicies(context.Background(), exchange, "billing", "s-ada", "")
	if err != nil || len(trials) != 1 || trials[0].Decides() == nil {
		t.Errorf("a trial: %v, %v", trials, err)
	}
}

// Where a token goes, and nowhere else.
func TestWhereTokensGo(t *testing.T) {
	const token = "a+b/c=d&e%f"
	for _, tc := range []struct {
		o    subject.HTTPCheckOptions
		read func(r *http.Request) string
	}{
		{subject.HTTPCheckOptions{}, func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") }},
		{subject.HTTPCheckOptions{Send: subject.SendHeader, Field: "X-Api-Key"}, func(r *http.Request) string { return r.Header.Get("X-Api-Key") }},
		{subject.HTTPCheckOptions{Send: subject.SendHeader, Field: "Authorization", Scheme: "Token"}, func(r *http.Request) string {
			return strings.TrimPrefix(r.Header.Get("Authorization"), "Token ")
		}},
		{subject.HTTPCheckOptions{Send: subject.SendCookie, Field: "sid"}, func(r *http.Request) string {
			return strings.TrimPrefix(r.Header.Get("Cookie"), "sid=")
		}},
		{subject.HTTPCheckOptions{Send: subject.SendForm, Field: "t"}, func(r *http.Request) string { return r.PostFormValue("t") }},
		{subject.HTTPCheckOptions{Send: subject.SendJSON, Field: "t", Method: "PUT"}, func(r *http.Request) string {
			var sent map[string]string
			_ = json.NewDecoder(r.Body).Decode(&sent)
			return sent["t"]
		}},
		{subject.HTTPCheckOptions{Send: subject.SendQuery, Field: "t"}, func(r *http.Request) string { return r.URL.Query().Get("t") }},
	} {
		t.Run(tc.o.Send+" "+tc.o.Scheme, func(t *testing.T) {
			app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
				if got := tc.read(r); got != token || r.URL.Query().Get("key") != "k" || r.Header.Get("X-Key") != "h" || r.Host != "shop.example" {
					t.Errorf("%q, header %v, query %s, host %s", got, r.Header, r.URL.RawQuery, r.Host)
				}
				says(200, `{"user":{"id":"ada"}}`)(w, r)
			})
			tc.o.URL, tc.o.Claims, tc.o.Header = app.url+"/me?key=k", bySub, http.Header{"X-Key": {"h"}, "Host": {"shop.example"}}
			f := tokeneptest.New(t, asks(t, tc.o, person(t)))
			f.Granted(t, session(token))
		})
	}
}

// What an answer means: yes, no, or nothing. No claim is taken from what nobody can read.
func TestAnswersOfApplications(t *testing.T) {
	const yes, no, nobody = "yes", "no", "nobody knows"
	flags := subject.HTTPCheckOptions{
		Yes: []outbound.Rule{{Statuses: []int{200}, Member: "ok", Value: "true"}}, No: []outbound.Rule{{Statuses: []int{200}, Member: "ok", Value: "false"}},
	}
	elsewhere := newApplication(t, says(200, `{"user":{"id":"eve"}}`))
	for _, tc := range []struct {
		name   string
		o      subject.HTTPCheckOptions
		answer http.HandlerFunc
		means  string
	}{
		{"yes", subject.HTTPCheckOptions{}, says(200, `{"user":{"id":"ada"}}`), yes},
		{"yes, by a member", flags, says(200, `{"ok":true,"user":{"id":"ada"}}`), yes},
		{"no", subject.HTTPCheckOptions{}, says(401, ``), no},
		{"no, by a member", flags, says(200, `{"ok":false,"user":{"id":"ada"}}`), no},
		{"neither", flags, says(200, `{"user":{"id":"ada"}}`), nobody},
		{"a page", subject.HTTPCheckOptions{}, says(200, `<html>Sign in`), nobody},
		{"about nobody", subject.HTTPCheckOptions{}, says(200, `{"user":null}`), no},
		{"a number for a name", subject.HTTPCheckOptions{}, says(200, `{"user":{"id":7}}`), no},
		{"expired", subject.HTTPCheckOptions{}, says(200, `{"user":{"id":"ada"},"expires":1}`), no},
		{"an exp that is none", subject.HTTPCheckOptions{}, says(200, `{"user":{"id":"ada"},"expires":"soon"}`), nobody},
		{"an exp in milliseconds", subject.HTTPCheckOptions{}, says(200, `{"user":{"id":"ada"},"expires":1893456000000}`), nobody},
		{"an exp that is a date", subject.HTTPCheckOptions{}, says(200, `{"user":{"id":"ada"},"expires":"2999-01-02T03:04:05Z"}`), yes},
		{"away", subject.HTTPCheckOptions{}, says(502, ``), nobody},
		{"10 MB", subject.HTTPCheckOptions{}, says(200, `{"x":"`+strings.Repeat("x", 10<<20)+`","user":{"id":"ada"}}`), nobody},
		{"a redirect", subject.HTTPCheckOptions{}, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.url, http.StatusFound) }, nobody},
		{"shorter than it says", subject.HTTPCheckOptions{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			says(200, `{"user":{"id":"ada"}}`)(w, r)
		}, nobody},
		{"longer than it says", subject.HTTPCheckOptions{}, raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + `{"user":{"id":"ada"}}`), nobody},
		{"two lengths", subject.HTTPCheckOptions{}, raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 21\r\n\r\n" + `{"user":{"id":"ada"}}`), nobody},
		{"it hangs", subject.HTTPCheckOptions{Connection: outbound.Options{Timeout: 100 * time.Millisecond}}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nobody},
		{"it hangs up", subject.HTTPCheckOptions{}, raw(""), nobody},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.o.URL, tc.o.Claims = newApplication(t, tc.answer).url, bySub
			f := tokeneptest.New(t, asks(t, tc.o, person(t)))
			switch tc.means {
			case yes:
				if _, token := f.Granted(t, session("x")); token.Subject != "ada" {
					t.Errorf("it is about %s", token.Subject)
				}
			case no:
				f.Send(t, session("x")).Refused(t, 400, tokenep.InvalidRequest)
			default:
				unknown(t, f, session("x"))
			}
		})
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// raw answers with these bytes, and hangs up.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(c, text)
		_ = c.Close()
	}
}

// Many who wait for answers about several tokens: one request for each, and nobody gets the answer
// about another token. Whoever gives up does so alone.
func TestOneRequestForAllWhoWait(t *testing.T) {
	release := make(chan struct{})
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		_, _ = fmt.Fprintf(w, `{"user":{"id":%q}}`, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	})
	f := tokeneptest.New(t, asks(t, subject.HTTPCheckOptions{URL: app.url, Claims: bySub, Connection: outbound.Options{Timeout: time.Minute}}, person(t)))
	source := f.Config.Subjects[0]
	prove := func(ctx context.Context, token string) (*verify.Token, error) {
		return source.Prove(ctx, &tokenep.Request{Request: new(http.Request)}, token)
	}
	ctx, giveUp := context.WithCancel(t.Context())
	var all sync.WaitGroup
	first := make(chan error)
	go func() { _, err := prove(ctx, "user-0"); first <- err }()
	for app.asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	const tokens, waiters = 4, 25
	for i := range tokens * waiters {
		all.Go(func() {
			name := fmt.Sprintf("user-%d", i%tokens)
			if token, err := prove(t.Context(), name); err != nil || token.Subject != name {
				t.Errorf("%s: %v, %v", name, token, err)
			}
		})
	}
	for app.asked.Load() < tokens {
		time.Sleep(time.Millisecond)
	}
	giveUp()
	if err := <-first; err == nil {
		t.Error("one that gives up gets an answer")
	}
	close(release)
	all.Wait()
	if n := app.asked.Load(); n != tokens {
		t.Errorf("%d requests for %d tokens", n, tokens)
	}
}

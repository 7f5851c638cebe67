package httpcheck_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/user/httpcheck"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// application is a login that answers as a test says.
func application(t *testing.T, answer http.HandlerFunc) (url string) {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL
}

func check(t *testing.T, o httpcheck.Options) *httpcheck.Check {
	if o.SubjectAsTyped && len(o.Yes) == 0 {
		if _, err := httpcheck.New(o); err == nil {
			t.Error("a login that names nobody is asked, and nothing says what means yes")
		}
		o.Yes = []outbound.Rule{{Statuses: []int{http.StatusOK, http.StatusNoContent}}}
	}
	t.Helper()
	c, err := httpcheck.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// What an answer means: yes, no, or nothing.
func TestAnswers(t *testing.T) {
	success := []outbound.Rule{{Statuses: []int{200}, Member: "result.ok", Value: "true"}}
	failure := []outbound.Rule{{Statuses: []int{200}, Member: "result.ok", Value: "false"}, {Statuses: []int{422}}}
	const yes, no, unknown = "yes", "no", "unknown"
	for _, tc := range []struct {
		name    string
		o       httpcheck.Options
		status  int
		body    string
		means   string
		subject string
	}{
		{"200", httpcheck.Options{}, 200, `{"id":"u1"}`, yes, "u1"},
		{"a number", httpcheck.Options{}, 200, `{"id":42}`, yes, "42"},
		{"a large number", httpcheck.Options{}, 200, `{"id":9007199254740993}`, yes, "9007199254740993"},
		{"no whole number", httpcheck.Options{}, 200, `{"id":4.2}`, unknown, ""},
		{"a negative number", httpcheck.Options{}, 200, `{"id":-1}`, unknown, ""},
		{"an empty subject", httpcheck.Options{}, 200, `{"id":""}`, unknown, ""},
		{"no subject", httpcheck.Options{}, 200, `{"name":"x"}`, unknown, ""},
		{"a subject that is no text", httpcheck.Options{}, 200, `{"id":{"a":1}}`, unknown, ""},
		{"null", httpcheck.Options{}, 200, `null`, unknown, ""},
		{"no object", httpcheck.Options{}, 200, `["u1"]`, unknown, ""},
		{"something behind it", httpcheck.Options{}, 200, `{"id":"u1"}{}`, unknown, ""},
		{"no JSON", httpcheck.Options{}, 200, `<html>`, unknown, ""},
		{"401", httpcheck.Options{}, 401, ``, no, ""},
		{"403", httpcheck.Options{}, 403, `{"id":"u1"}`, no, ""},
		{"404", httpcheck.Options{}, 404, ``, unknown, ""},
		{"429", httpcheck.Options{}, 429, ``, unknown, ""},
		{"500", httpcheck.Options{}, 500, `{"id":"u1"}`, unknown, ""},
		{"201", httpcheck.Options{}, 201, `{"id":"u1"}`, unknown, ""},
		{"302 by default", httpcheck.Options{}, 302, `{"id":"u1"}`, unknown, ""},
		{"302 that means yes", httpcheck.Options{Yes: []outbound.Rule{{Statuses: []int{302}}}, No: []outbound.Rule{{Statuses: []int{200}}}}, 302, `{"id":"u1"}`, yes, "u1"},
		{"200 that means no", httpcheck.Options{Yes: []outbound.Rule{{Statuses: []int{302}}}, No: []outbound.Rule{{Statuses: []int{200}}}}, 200, `<form>`, no, ""},
		{"a member says yes", httpcheck.Options{Yes: success, No: failure}, 200, `{"result":{"ok":true},"id":"u1"}`, yes, "u1"},
		{"a member says no", httpcheck.Options{Yes: success, No: failure}, 200, `{"result":{"ok":false},"id":"u1"}`, no, ""},
		{"a member says something else", httpcheck.Options{Yes: success, No: failure}, 200, `{"result":{"ok":1},"id":"u1"}`, unknown, ""},
		{"the member is missing", httpcheck.Options{Yes: success, No: failure}, 200, `{"id":"u1"}`, unknown, ""},
		{"the member is a list", httpcheck.Options{Yes: success, No: failure}, 200, `{"result":{"ok":["true"]},"id":"u1"}`, unknown, ""},
		{"another rule says no", httpcheck.Options{Yes: success, No: failure}, 422, ``, no, ""},
		{"too long", httpcheck.Options{}, 200, `{"id":"u1","x":"` + strings.Repeat("x", 64<<10) + `"}`, unknown, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.o.URL, tc.o.Subject = application(t, func(w http.ResponseWriter, r *http.Request) {
				if tc.status == 302 {
					w.Header().Set("Location", "/elsewhere")
				}
				says(tc.status, tc.body)(w, r)
			}), "id"
			user, err := check(t, tc.o).Authenticate(t.Context(), "ada", "wonderland")
			means := unknown
			switch {
			case err == nil:
				means = yes
			case errors.Is(err, tokenep.ErrNoUser):
				means = no
			}
			if means != tc.means || user.Subject != tc.subject {
				t.Errorf("%s for %q (%v), want %s for %q", means, user.Subject, err, tc.means, tc.subject)
			}
		})
	}
}

// Name and password go where they are configured to go, and nowhere else.
func TestWhereNameAndPasswordGo(t *testing.T) {
	const name, password = `ada&"x"`, "wonder=land&x€"
	for _, tc := range []struct {
		send string
		read func(r *http.Request) (name, password string)
	}{
		{httpcheck.Form, func(r *http.Request) (string, string) {
			return r.PostFormValue("email"), r.PostFormValue("secret")
		}},
		{httpcheck.JSON, func(r *http.Request) (string, string) {
			var sent map[string]string
			_ = json.NewDecoder(r.Body).Decode(&sent)
			return sent["email"], sent["secret"]
		}},
		{httpcheck.Basic, func(r *http.Request) (string, string) {
			name, password, _ := r.BasicAuth()
			return name, password
		}},
	} {
		t.Run(tc.send, func(t *testing.T) {
			url := application(t, func(w http.ResponseWriter, r *http.Request) {
				if n, p := tc.read(r); n != name || p != password || r.URL.RawQuery != "" || r.Header.Get("X-Api-Key") != "k" || r.Host != "shop.example" {
					t.Errorf("%q %q, query %q, header %v, host %s", n, p, r.URL.RawQuery, r.Header, r.Host)
				}
				says(204, "")(w, r)
			})
			header := http.Header{"X-Api-Key": {"k"}, "Host": {"shop.example"}}
			user, err := check(t, httpcheck.Options{
				URL: url, Send: tc.send, NameField: "email", PasswordField: "secret", SubjectAsTyped: true, Header: header,
			}).Authenticate(t.Context(), name, password)
			if err != nil || user.Subject != name {
				t.Errorf("%q: %v", user.Subject, err)
			}
		})
	}
}

// RFC 7617 §2: a name with a colon would be cut there, and the rest be part of the password.
func TestBasicHasNoColons(t *testing.T) {
	url := application(t, func(http.ResponseWriter, *http.Request) { t.Error("it was asked") })
	_, err := check(t, httpcheck.Options{URL: url, Send: httpcheck.Basic, SubjectAsTyped: true}).Authenticate(t.Context(), "ada:x", "y")
	if !errors.Is(err, tokenep.ErrNoUser) {
		t.Error(err)
	}
}

// A redirect leads nowhere: whoever can make the application answer one would get the password.
func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := application(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	for _, status := range []int{301, 302, 303, 307, 308} {
		url := application(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, status) })
		_, err := check(t, httpcheck.Options{URL: url, SubjectAsTyped: true}).Authenticate(t.Context(), "ada", "wonderland")
		if err == nil || errors.Is(err, tokenep.ErrNoUser) {
			t.Errorf("%d: %v, want that nobody knows", status, err)
		}
	}
}

// An application that hangs, before its answer or within it, is given up after the time-out.
func TestHangs(t *testing.T) {
	for name, begin := range map[string]func(w http.ResponseWriter){
		"before the answer": func(http.ResponseWriter) {},
		"within the answer": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"id":`)
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := application(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // else the end of the connection is not seen
				begin(w)
				<-r.Context().Done()
			})
			c := check(t, httpcheck.Options{URL: url, Subject: "id", Timeout: 100 * time.Millisecond})
			if _, err := c.Authenticate(t.Context(), "ada", "wonderland"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want that it took too long", err)
			}
		})
	}
}

// Of 10 MB no more is read than may be, and nothing where nothing is needed.
func TestEndlessAnswer(t *testing.T) {
	for subject, want := range map[string]bool{"": true, "id": false} {
		var sent atomic.Int64
		done := make(chan struct{})
		url := application(t, func(w http.ResponseWriter, _ *http.Request) {
			defer close(done)
			_, _ = io.WriteString(w, `{"id":"`)
			for range 160 {
				n, err := io.WriteString(w, strings.Repeat("x", 64<<10))
				if sent.Add(int64(n)); err != nil {
					return
				}
			}
		})
		c := check(t, httpcheck.Options{URL: url, Subject: subject, SubjectAsTyped: subject == ""})
		_, err := c.Authenticate(t.Context(), "ada", "wonderland")
		if (err == nil) != want || errors.Is(err, tokenep.ErrNoUser) {
			t.Errorf("subject %q: %v", subject, err)
		}
		<-done
		if n := sent.Load(); n >= 160*64<<10 {
			t.Errorf("subject %q: all %d bytes were sent", subject, n)
		}
	}
}

// No more requests are made at once than are allowed; the others wait, and give up in time.
func TestRequestsAreBounded(t *testing.T) {
	var running, most atomic.Int64
	release := make(chan struct{})
	url := application(t, func(w http.ResponseWriter, r *http.Request) {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		running.Add(-1)
		says(204, "")(w, r)
	})
	c := check(t, httpcheck.Options{URL: url, SubjectAsTyped: true, Requests: 2, Timeout: time.Minute})
	errs := make(chan error, 8)
	for range 8 {
		go func() {
			_, err := c.Authenticate(context.WithoutCancel(t.Context()), "ada", "wonderland")
			errs <- err
		}()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for running.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	if _, err := c.Authenticate(ctx, "ada", "wonderland"); !errors.Is(err, context.Canceled) {
		t.Errorf("one that gives up gets %v", err)
	}
	close(release)
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if most.Load() != 2 {
		t.Errorf("%d requests at once, want 2", most.Load())
	}
}

// Claims are what claim lines say of the answer, and no more.
func TestClaims(t *testing.T) {
	url := application(t, says(200, `{"id":"u1","user":{"mail":"ada@example.com","roles":["staff","admin"],"seen":1700000000,"secret":"s"},"user.name":"Ada"}`))
	user, err := check(t, httpcheck.Options{URL: url, Subject: "id", Claims: tokenep.ClaimSources{
		{Name: "email", From: "user.mail"}, {Name: "groups", From: "user.roles", Scope: "groups"}, {Name: "name", From: "user.name"},
		{Name: "updated_at", From: "user.seen"}, {Name: "phone_number", From: "user.phone"},
	}}).Authenticate(t.Context(), "ada", "wonderland")
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(user.Claims)
	if want := `{"email":"ada@example.com","groups":["staff","admin"],"name":"Ada","updated_at":1700000000}`; string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Whether a person is there is asked for at another URL, where the subject is one part of it.
func TestFind(t *testing.T) {
	var asked string
	status, body := 200, `{"active":true}`
	url := application(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.RequestURI()
		says(status, body)(w, r)
	})
	o := httpcheck.Options{URL: url, Subject: "id", Gone: []outbound.Rule{{Statuses: []int{404}}, {Statuses: []int{200}, Member: "active", Value: "false"}}}
	for _, tc := range []struct{ find, subject, want string }{
		{"/users/{subject}", "u1", "GET /users/u1"},
		{"/users/{subject}/state", "../admin?x=1", "GET /users/..%2Fadmin%3Fx=1/state"},
		{"/users?id={subject}&x=1", "a&b=c d", "GET /users?id=a%26b%3Dc+d&x=1"},
		{"/users/{subject}", "ä", "GET /users/%C3%A4"},
	} {
		o.Find = url + tc.find
		if _, err := check(t, o).Find(t.Context(), tc.subject); err != nil || asked != tc.want {
			t.Errorf("%s %q: %s, want %s: %v", tc.find, tc.subject, asked, tc.want, err)
		}
	}
	asked = ""
	if _, err := check(t, o).Find(t.Context(), ".."); err == nil || errors.Is(err, tokenep.ErrNoUser) || asked != "" {
		t.Errorf("dots: %v, asked %q", err, asked)
	}
	for _, tc := range []struct {
		status      int
		body        string
		there, gone bool
	}{
		{200, `{"active":true}`, true, false},
		{200, `{"active":false}`, false, true},
		{200, `<html>`, false, false},
		{404, ``, false, true},
		{401, ``, false, false},
		{500, ``, false, false},
	} {
		status, body = tc.status, tc.body
		_, err := check(t, o).Find(t.Context(), "u1")
		if (err == nil) != tc.there || errors.Is(err, tokenep.ErrNoUser) != tc.gone {
			t.Errorf("%d %s: %v", tc.status, tc.body, err)
		}
	}
}

package endpoint_test

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

const (
	sessionCookie = "__Host-oauth_session"
	browserCookie = "__Host-oauth_browser"
)

// A session is one record: signed out on one node is signed out on every other at once, whatever
// its cookie says.
func TestSessionOnTwoNodes(t *testing.T) {
	one, people := newSite(t)
	c := tokeneptest.Config(one.Store, one.Clock.Now)
	for _, change := range []tokeneptest.Change{tokeneptest.WithPeople, withOpenID, people.SignIn} {
		change(&c)
	}
	two := one.Next(t, c)
	if err := two.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, _ := signedIn(t, one)
	kept := &tokeneptest.Browser{Server: two, Header: http.Header{}, Cookies: maps.Clone(b.Cookies)}
	if !isSignedIn(t, kept) {
		t.Fatal("signed in on one node, and not on the other")
	}
	other, _ := signedIn(t, two)
	b.Open(t, signOut())
	b.Submit(t, "leave")
	if isSignedIn(t, kept) {
		t.Error("signed out on one node, and signed in on the other")
	}
	if !isSignedIn(t, other) {
		t.Error("another browser is signed out")
	}
}

// Two servers of one host are told apart by their paths or ports, and neither takes a cookie of the
// other: browsers send it to both (RFC 6265 §8.5).
func TestCookieOfAnotherServerOfTheHost(t *testing.T) {
	cookies := make(map[string]string) // those of all servers
	for _, at := range []string{"https://as.example", "https://as.example:8443", "https://as.example/one", "https://as.example/one/two", "https://as.example/One"} {
		t.Run(at, func(t *testing.T) {
			s, _ := newSite(t, func(c *server.Config) { c.Issuer = at })
			u, _ := url.Parse(at)
			b := &tokeneptest.Browser{Server: s, Header: http.Header{}, Cookies: maps.Clone(cookies)}
			b.Open(t, u.Path+tokeneptest.SignInPath)
			for name, value := range cookies {
				if b.Cookies[name] != value {
					t.Errorf("it sets %s, which is of another server", name)
				}
			}
			if b.SignIn(t, "ann"); len(b.Cookies) != len(cookies)+2 {
				t.Fatalf("cookies %v, and before %v", b.Cookies, cookies)
			}
			own := ""
			for name := range b.Cookies {
				if _, before := cookies[name]; !before && strings.HasPrefix(name, sessionCookie) {
					own = name
				}
			}
			for name, value := range cookies { // as if it were of this server
				forged := &tokeneptest.Browser{Server: s, Header: http.Header{}, Cookies: map[string]string{own: value}}
				a := forged.Open(t, u.Path+path("site", "prompt", "none"))
				if to := a.Header.Get("Location"); !strings.Contains(to, "error=login_required") {
					t.Errorf("the value of %s: sent to %s, want login_required", name, to)
				}
			}
			maps.Copy(cookies, b.Cookies)
		})
	}
}

// Of two cookies of one name, one may have been set by somebody else (RFC 6265 §8.6): neither is
// taken.
func TestTwoCookiesOfOneName(t *testing.T) {
	s, _ := newSite(t)
	ann, bob := s.Browser(), s.Browser()
	for name, b := range map[string]*tokeneptest.Browser{"ann": ann, "bob": bob} {
		b.Open(t, tokeneptest.SignInPath)
		b.SignIn(t, name)
	}
	both := func(name string, first, second *tokeneptest.Browser) string {
		return name + "=" + first.Cookies[name] + "; " + name + "=" + second.Cookies[name]
	}
	for name, pair := range map[string][2]*tokeneptest.Browser{"ann first": {ann, bob}, "bob first": {bob, ann}, "twice": {ann, ann}} {
		t.Run(name, func(t *testing.T) {
			r := tokeneptest.Get(path("site", "prompt", "none")).With("Cookie", both(sessionCookie, pair[0], pair[1]))
			if got := s.Send(t, r).Redirected(t, tokeneptest.Callback).Get("error"); got != "login_required" {
				t.Errorf("sessions: error %q, want login_required", got)
			}
			ann.Open(t, path("site", "prompt", "select_account"))
			r = tokeneptest.Get(ann.At()).With("Cookie", both(browserCookie, pair[0], pair[1]))
			if a := s.Send(t, r); a.Status != http.StatusBadRequest {
				t.Errorf("browsers: %d, want a page that says so", a.Status)
			}
		})
	}
}

// Fixation: what somebody has planted before is neither the session after a sign-in nor told of it.
func TestSessionFixation(t *testing.T) {
	s, _ := newSite(t)
	attacker := s.Browser()
	attacker.Open(t, tokeneptest.SignInPath)
	attacker.SignIn(t, "bob")
	for name, planted := range map[string]string{"of the attacker": attacker.Cookies[sessionCookie], "of nobody": "AAAA"} {
		t.Run(name, func(t *testing.T) {
			victim := s.Browser()
			victim.Cookies[sessionCookie] = planted
			victim.Open(t, path("site", "prompt", "login"))
			victim.SignIn(t, "ann")
			if victim.Cookies[sessionCookie] == planted {
				t.Error("the session is the planted one")
			}
			for whose, cookies := range map[string]map[string]string{
				"planted": {sessionCookie: planted}, "all": maps.Clone(attacker.Cookies),
			} {
				b := &tokeneptest.Browser{Server: s, Header: http.Header{}, Cookies: cookies}
				if b.Open(t, path("site")); strings.Contains(b.Text(), "You are ann") {
					t.Errorf("%s: the attacker is ann", whose)
				}
			}
		})
	}
	t.Run("a planted browser", func(t *testing.T) {
		attacker, victim := s.Browser(), s.Browser()
		attacker.Open(t, path("site"))
		victim.Cookies[browserCookie] = attacker.Cookies[browserCookie]
		victim.Open(t, attacker.At())
		victim.SignIn(t, "ann")
		if isSignedIn(t, attacker) {
			t.Error("the attacker is signed in")
		}
	})
}

// Login CSRF: nobody is signed in by a form that another page or another browser has made.
func TestLoginCSRF(t *testing.T) {
	s, _ := newSite(t)
	flow := regexp.MustCompile(`name="flow" value="([^"]+)"`)
	attacker := s.Browser()
	made := string(flow.FindSubmatch(attacker.Open(t, path("site")).Body)[1])
	of := func(flow string) tokeneptest.Request {
		return tokeneptest.Post("flow", flow, "username", "bob", "password", "bob-password").At(tokeneptest.SignInPath)
	}
	victim := s.Browser()
	own := string(flow.FindSubmatch(victim.Open(t, path("site")).Body)[1])
	cookie := browserCookie + "=" + victim.Cookies[browserCookie]
	for name, r := range map[string]tokeneptest.Request{
		"the flow of another browser":   of(made).With("Cookie", cookie),
		"in a browser without a cookie": of(made),
		"no flow":                       of("").With("Cookie", cookie),
		"a page of another site":        of(own).With("Cookie", cookie).With("Sec-Fetch-Site", "cross-site"),
		"a page of another host":        of(own).With("Cookie", cookie).With("Sec-Fetch-Site", "same-site"),
		"a GET":                         tokeneptest.Get(tokeneptest.SignInPath+"?"+of(own).Body).With("Cookie", cookie),
	} {
		t.Run(name, func(t *testing.T) {
			a := s.Send(t, r)
			for _, c := range (&http.Response{Header: a.Header}).Cookies() {
				if c.Name == sessionCookie {
					t.Errorf("%d, and somebody is signed in", a.Status)
				}
			}
		})
	}
	if a := s.Send(t, of(own).With("Cookie", cookie).With("Sec-Fetch-Site", "same-origin")); a.Status != http.StatusSeeOther {
		t.Errorf("its own form: %d %s", a.Status, a.Body)
	}
}

// What is sealed for one use is of no use as another.
func TestSealedForAnotherUse(t *testing.T) {
	s, _ := newSite(t)
	b := s.Browser()
	field := func(name string, a tokeneptest.Answer) string {
		found := regexp.MustCompile(`name="` + name + `" value="([^"]+)"`).FindSubmatch(a.Body)
		if found == nil {
			t.Fatalf("no %s in %s", name, a.Body)
		}
		return string(found[1])
	}
	sealed := map[string]string{"a flow": field("flow", b.Open(t, path("site")))}
	sealed["a consent"] = field("page", b.SignIn(t, "ann"))
	sealed["a session"] = b.Cookies[sessionCookie]
	sealed["an account"] = field("page", b.Open(t, tokeneptest.AccountPath))
	sealed["a sign-out"] = field("page", b.Open(t, signOut()))
	sealed["a request"] = strings.TrimPrefix(s.Send(t, tokeneptest.Push("native")).JSON["request_uri"].(string), "urn:ietf:params:oauth:request_uri:")
	cookies := "; " + browserCookie + "=" + b.Cookies[browserCookie]
	as := func(name, value string) string { return "?" + url.Values{name: {value}}.Encode() }
	for use, send := range map[string]func(value string) tokeneptest.Request{
		"a flow, in a link": func(v string) tokeneptest.Request { return tokeneptest.Get(tokeneptest.SignInPath + as("flow", v)) },
		"a flow, in a form": func(v string) tokeneptest.Request {
			return tokeneptest.Post("flow", v, "decision", "continue").At(tokeneptest.SignInPath)
		},
		"a flow, of a client": func(v string) tokeneptest.Request { return tokeneptest.Get(tokeneptest.AuthorizePath + as("flow", v)) },
		"a consent, in a form": func(v string) tokeneptest.Request {
			return tokeneptest.Post("page", v, "decision", "allow").At(tokeneptest.AuthorizePath)
		},
		"an account, in a form": func(v string) tokeneptest.Request {
			return tokeneptest.Post("page", v, "action", "end_all").At(tokeneptest.AccountPath)
		},
		"a sign-out, in a form": func(v string) tokeneptest.Request {
			return tokeneptest.Post("page", v, "decision", "leave").At(tokeneptest.SignOutPath)
		},
		"a request, of a client": func(v string) tokeneptest.Request {
			return tokeneptest.Get(tokeneptest.AuthorizePath + "?client_id=native&request_uri=urn:ietf:params:oauth:request_uri:" + v)
		},
	} {
		for what, value := range sealed {
			if kind, _, _ := strings.Cut(use, ","); kind == what {
				continue
			}
			t.Run(what+" as "+use, func(t *testing.T) {
				a := s.Send(t, send(value).With("Cookie", sessionCookie+"="+sealed["a session"]+cookies))
				if a.Status != http.StatusBadRequest {
					t.Errorf("%d %s", a.Status, a.Body)
				}
			})
		}
	}
	for what, value := range sealed {
		if what == "a session" {
			continue
		}
		t.Run(what+" as a session", func(t *testing.T) {
			r := tokeneptest.Get(path("site", "prompt", "none")).With("Cookie", sessionCookie+"="+value+cookies)
			if got := s.Send(t, r).Redirected(t, tokeneptest.Callback).Get("error"); got != "login_required" {
				t.Errorf("error %q, want login_required", got)
			}
		})
	}
	if got := b.Open(t, path("site", "prompt", "none")).Redirected(t, tokeneptest.Callback).Get("error"); got != "consent_required" {
		t.Errorf("error %q, want consent_required: nothing was signed out or allowed", got)
	}
}

// A source may tell any name: none is taken that is of a client (RFC 9068 §5), or that breaks out
// of a header or a line of the log. Nobody learns more than of a wrong password.
func TestNamesThatUsersMustNotHave(t *testing.T) {
	for name, subject := range map[string]string{
		"a client": "client:site", "no client": "client:", "nobody": "", "a header": "ann\r\nX-Admin: 1", "a line": "ann\nlevel=ERROR",
		"a NUL": "ann\x00", "a direction": "ann\u202emoc", "no UTF-8": "ann\xff", "a long one": strings.Repeat("a", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newSite(t, func(c *server.Config) {
				c.Users = &tokenep.UserSource{Authenticate: func(context.Context, string, string) (tokenep.User, error) {
					return tokenep.User{Subject: subject}, nil
				}}
			})
			b := s.Browser()
			b.Open(t, path("site"))
			a := b.SignIn(t, "ann")
			if a.Status != http.StatusForbidden || !strings.Contains(b.Text(), "The user name or the password is wrong.") || b.Cookies[sessionCookie] != "" {
				t.Errorf("%d %s %v", a.Status, b.Text(), b.Cookies)
			}
		})
	}
}

// OpenID Connect Core §3.1.2.1: a client may have the browser send its request by POST, with which
// the cookies of this site do not go (SameSite=Lax). It is answered as one by GET, and the pages
// that are open in other tabs stay good.
func TestFormOfAnotherSite(t *testing.T) {
	s, _ := newSite(t, withTV)
	ann := s.Browser()
	ann.Open(t, path("site"))
	ann.SignIn(t, "ann") // and has a page open that asks
	// post is a form of another site, and returns where the browser goes then.
	post := func(to, form string, header ...string) tokeneptest.Answer {
		t.Helper()
		r := tokeneptest.PostForm(form).At(to).With("Sec-Fetch-Site", "cross-site")
		if len(header) > 0 {
			r.Header.Del("Sec-Fetch-Site")
			r = r.With("Origin", header[0])
		}
		a := s.Send(t, r)
		if set := a.Header.Get("Set-Cookie"); set != "" {
			t.Errorf("%s: it sets %s", to, set)
		}
		return a
	}
	authorize := func(pairs ...string) string {
		_, query, _ := strings.Cut(path("site", pairs...), "?")
		return query
	}
	for name, header := range map[string][]string{"Fetch Metadata": nil, "Origin": {"https://site.example"}, "an opaque Origin": {"null"}} {
		form := authorize("prompt", "none", "login_hint", "ünn&x=1") + "&resource=" + url.QueryEscape(tokeneptest.Orders) + "&resource=" + url.QueryEscape(tokeneptest.Invoices) + "&flow=x&decision=allow&max_age="
		a := post(tokeneptest.AuthorizePath, form, header...)
		to, query, _ := strings.Cut(a.Header.Get("Location"), "?")
		got, err := url.ParseQuery(query)
		if err != nil || a.Status != http.StatusSeeOther || to != tokeneptest.AuthorizePath {
			t.Fatalf("%s: %d to %s", name, a.Status, to)
		}
		want, _ := url.ParseQuery(form)
		for _, gone := range []string{"flow", "decision", "max_age"} {
			want.Del(gone)
		}
		if got.Encode() != want.Encode() {
			t.Errorf("%s: by GET with %v, want %v", name, got, want)
		}
		tab := &tokeneptest.Browser{Server: s, Header: http.Header{}, Cookies: maps.Clone(ann.Cookies)}
		if got := tab.Open(t, a.Header.Get("Location")).Redirected(t, tokeneptest.Callback).Get("error"); got != "consent_required" {
			t.Errorf("%s: error %q, want consent_required: ann has signed in", name, got)
		}
	}
	for _, to := range []string{tokeneptest.AccountPath, tokeneptest.SignInPath, tokeneptest.SignOutPath, devicePath} {
		post(to, "action=end_all&user_code=BBBB-BBBB&username=bob&password=x")
	}
	if a := ann.Submit(t, "allow"); a.Redirected(t, tokeneptest.Callback).Get("code") == "" {
		t.Errorf("%d %s; want the page to be good still", a.Status, a.Body)
	}
	// Where there is too much for a query, the form is read.
	long := s.Send(t, tokeneptest.PostForm(authorize("state", strings.Repeat("x", 7000))).At(tokeneptest.AuthorizePath).With("Sec-Fetch-Site", "cross-site"))
	if to := long.Header.Get("Location"); !strings.HasPrefix(to, tokeneptest.SignInPath) {
		t.Errorf("a long one: %d to %s; want the page to sign in", long.Status, to)
	}
}

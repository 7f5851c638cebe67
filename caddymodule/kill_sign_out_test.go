package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// signInOptions are those of a server that signs ada in.
const signInOptions = `users inline {
			user ada $argon2id$v=19$m=8,t=1,p=1$ipBXIkWLk8WGxaaqypWD9g$/YCnL1MH/T9mUq2uTvF51lHNvCI1o7W0QRh5Bd0/a+0
		}
		client native {
			auth_method none
			grants authorization_code
			redirect_uris https://native.example/callback
		}`

// visitor is a browser at a proxy: its cookies.
type visitor struct {
	*proxy
	cookies map[string]string
}

// browse makes a request, and follows redirects to other paths.
func (v visitor) browse(method, path, form string) response {
	for {
		var cookies []string
		for name, value := range v.cookies {
			cookies = append(cookies, name+"="+value)
		}
		a := v.do(v.site, method, path, form, "Cookie", strings.Join(cookies, "; "), "Content-Type", "application/x-www-form-urlencoded")
		for _, c := range (&http.Response{Header: a.header}).Cookies() {
			if v.cookies[c.Name] = c.Value; c.MaxAge < 0 {
				delete(v.cookies, c.Name)
			}
		}
		to := a.header.Get("Location")
		if a.status != http.StatusSeeOther || !strings.HasPrefix(to, "/") {
			return a
		}
		method, path, form = http.MethodGet, to, ""
	}
}

const visitorAsks = "/oauth/authorize?response_type=code&client_id=native&code_challenge=" + flowChallenge + "&code_challenge_method=S256&prompt="

var hiddenField = regexp.MustCompile(`<input type="hidden" name="(flow|page)" value="([^"]+)">`)

// submit opens a page, and sends its form.
func (v visitor) submit(t *testing.T, page, action string, pairs ...string) response {
	t.Helper()
	a := v.browse(http.MethodGet, page, "")
	found := hiddenField.FindStringSubmatch(a.body)
	if found == nil {
		t.Fatalf("%s: %d %s", page, a.status, a.body)
	}
	form := url.Values{found[1]: {found[2]}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return v.browse(http.MethodPost, action, form.Encode())
}

func (v visitor) signIn(t *testing.T) response {
	return v.submit(t, visitorAsks+"login", "/oauth/sign-in", "username", "ada", "password", "wonderland")
}

// signedIn reports whether a session is good, whatever its browser knows.
func (v visitor) signedIn(t *testing.T) bool {
	t.Helper()
	a := v.browse(http.MethodGet, visitorAsks+"none", "")
	to := a.header.Get("Location")
	if a.status != http.StatusSeeOther || !strings.Contains(to, "error=login_required") && !strings.Contains(to, "error=consent_required") {
		t.Fatalf("%d %s %s", a.status, to, a.body)
	}
	return strings.Contains(to, "consent_required")
}

// The proxy is killed after each single write of what signs somebody out, before there is an
// answer: no session is good afterwards that was to end.
func TestKilledBetweenSignOutAndAnswer(t *testing.T) {
	k := killable{newProxy(t, "store mortal %DIR%/state.db"), ""}
	k.more = signInOptions
	k.mustStart()
	for name, ends := range map[string]func(v visitor) response{
		"sign out": func(v visitor) response {
			return v.submit(t, "/oauth/sign-out", "/oauth/sign-out", "decision", "leave")
		},
		"sign in again":    func(v visitor) response { return v.signIn(t) },
		"end all sessions": func(v visitor) response { return v.submit(t, "/oauth/account", "/oauth/account", "action", "end_all") },
		"ended by an admin": func(v visitor) response {
			return v.manage(http.MethodPost, "/users/ada/sessions/end", map[string]bool{"all": true})
		},
		"revoked":  func(v visitor) response { return v.manage(http.MethodPost, "/users/ada/revoke", nil) },
		"disabled": func(v visitor) response { return v.manage(http.MethodPost, "/users/ada/disable", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			writes := 0
			for ; k.endsUntilWrite(t, writes+1, ends) && !t.Failed(); writes++ {
				if name == "disabled" {
					k.manage(http.MethodPost, "/users/ada/enable", nil).want(t, "enable", http.StatusNoContent)
				}
			}
			k.manage(http.MethodPost, "/users/ada/enable", nil).want(t, "enable", http.StatusNoContent)
			if t.Logf("%d writes", writes); writes == 0 {
				t.Error("it writes nothing")
			}
		})
	}
}

// endsUntilWrite has ada sign in and ends that, and reports whether the proxy has died after the
// n-th write and was not done before. In either case ada must not be signed in then.
func (k killable) endsUntilWrite(t *testing.T, n int, ends func(visitor) response) (died bool) {
	t.Helper()
	v := visitor{k.proxy, make(map[string]string)}
	v.signIn(t).want(t, fmt.Sprintf("sign in before write %d", n), http.StatusOK)
	if !v.signedIn(t) {
		t.Fatal("not signed in")
	}
	before := visitor{k.proxy, make(map[string]string)}
	for name, value := range v.cookies {
		before.cookies[name] = value
	}
	left := k.path("state.db") + mortality
	writeFile(t, left, strconv.Itoa(n))
	a := ends(v)
	if a.status == 0 {
		select {
		case <-k.done:
		case <-time.After(10 * time.Second):
			t.Fatalf("no answer from a proxy that lives: %s", a.body)
		}
		k.dies()
	}
	_ = os.Remove(left)
	if before.signedIn(t) {
		t.Errorf("write %d: the session is good", n)
	}
	return a.status == 0
}

package browser

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// services are two, for which people make API tokens that are exchanged without a client, as
// Phrase's are.
const services = `token_exchange {
	anonymous
	api_tokens {
		prefix demo
		service %SITE%/orders orders:read orders:write
		service %SITE%/invoices
		token_type urn:phrase:params:oauth:token-type:api_token
	}
}`

// call asks for a path of the site with an access token.
func (s *site) call(path, token string) (status int) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	a, err := trusting.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = a.Body.Close()
	return a.StatusCode
}

// run runs a line of a shell as a page shows it, and returns the access token that is printed, or
// the error. curl trusts Caddy's own authority.
func (s *site) run(line string) (token, refusal string) {
	s.t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		servertest.Check(s.t, servertest.ErrMissing)
	}
	shell := exec.CommandContext(s.t.Context(), "sh", "-c", line)
	shell.Env = append(os.Environ(), "CURL_CA_BUNDLE="+filepath.Join(s.dir, "pki/authorities/local/root.crt"))
	out, err := shell.Output()
	if err != nil {
		s.t.Fatalf("%s: %v", line, err)
	}
	var answer struct {
		Token string `json:"access_token"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		s.t.Fatalf("%s: %s", line, out)
	}
	return answer.Token, answer.Error
}

// signIn is what a person does on the page to sign in.
func (b *tab) signIn() {
	b.t.Helper()
	b.begins("username")
	b.keys("ada" + tabKey + "wonderland" + enter)
}

// openAccount signs in, and opens the page on which people see their access.
func openAccount(t *testing.T, s *site, scripts bool) *tab {
	t.Helper()
	b := newTab(t, scripts)
	b.open(s.url + "/oauth/account")
	b.signIn()
	b.sees("Your access")
	return b
}

// made returns what the page shows once, and goes back.
func (b *tab) made() (secret, curl string) {
	b.t.Helper()
	b.sees("Copy it now: it is not shown again.")
	secret, curl = eval[string](b, "document.getElementById('secret').innerText"), eval[string](b, "document.getElementById('curl').innerText")
	if !strings.Contains(curl, secret) {
		b.t.Errorf("%q is not in %s", secret, curl)
	}
	b.click("a.button")
	b.sees("Where you are signed in")
	if strings.Contains(b.text(), secret) {
		b.t.Error("the secret is shown again")
	}
	return secret, curl
}

// The document of Phrase, from its first sentence to its last: a user makes an API token on the
// page, exchanges it as the page says, and calls the service with what comes of it. It is good at
// no other service. It is replaced by another, which is revoked on the page, and then it is over.
func TestPersonMakesAnAPIToken(t *testing.T) {
	s := newSite(t, services)
	withAndWithout(t, func(t *testing.T, scripts bool) {
		s.t = t
		b := openAccount(t, s, scripts)
		b.click("a.button")
		b.begins("name")
		b.keys(`<b>nightly</b>` + enter)
		_, curl := b.made()
		b.sees("<b>nightly</b>")
		token, _ := s.run(curl)
		want := func(token string, orders, invoices int) {
			t.Helper()
			if got := s.call("/orders", token); got != orders {
				t.Errorf("/orders: %d, want %d", got, orders)
			}
			if got := s.call("/invoices", token); got != invoices {
				t.Errorf("/invoices: %d, want %d", got, invoices)
			}
		}
		want(token, http.StatusOK, http.StatusUnauthorized)

		b.open(b.at()) // and it says that it was used
		b.sees("127.0.0.1")
		b.click("summary")
		b.click(button("roll"))
		_, rolled := b.made()
		if _, refusal := s.run(curl); refusal != "invalid_request" {
			t.Errorf("the old one: %q, want invalid_request", refusal)
		}
		token, _ = s.run(rolled)
		want(token, http.StatusOK, http.StatusUnauthorized)

		b.click("summary")
		b.click(button("revoke"))
		b.sees("The API token was revoked.")
		if _, refusal := s.run(rolled); refusal != "invalid_request" {
			t.Errorf("after it was revoked: %q, want invalid_request", refusal)
		}
		want(token, http.StatusUnauthorized, http.StatusUnauthorized)
	})
}

// A person sees another browser, and signs it out, and takes from an application what it was
// allowed.
func TestPersonEndsWhatHasAccess(t *testing.T) {
	s := newSite(t, services)
	withAndWithout(t, func(t *testing.T, scripts bool) {
		s.t = t
		other := newTab(t, scripts)
		other.open(s.asks("prompt", "consent"))
		other.signIn()
		other.sees("Allow access?")
		other.click(button("allow"))
		s.redeem(s.got(other).values.Get("code"))

		b := openAccount(t, s, scripts)
		contains(t, b.text(), "Notes for you", "orders:read", "this one", "Chrome, Linux")
		b.click(button("forget"))
		b.sees("The application has no access any more.")
		b.sees("You have allowed none.")
		other.open(s.asks())
		other.sees("Allow access?") // again

		b.click(button("end"))
		b.sees("That browser is signed out.")
		other.open(s.asks())
		other.sees("To go on to Notes for you")

		other.signIn()
		other.sees("Allow access?")
		b.open(s.url + "/oauth/account")
		b.click(button("end_all"))
		b.sees("You are signed out")
		for _, both := range []*tab{b, other} {
			both.open(s.url + "/oauth/account")
			both.sees("User name")
		}
	})
}

// The number of days is asked for when it is wanted, and the keyboard goes there.
func TestNumberOfDays(t *testing.T) {
	s := newSite(t, services)
	b := openAccount(t, s, false)
	b.click("a.button")
	b.begins("name")
	b.keys("nightly")
	if eval[bool](b, "document.querySelector('input[name=custom]').checkVisibility()") {
		t.Error("the number is asked for before it is wanted")
	}
	b.click("input[value=custom]")
	b.keys(tabKey + "5")
	end := func() string { return time.Now().UTC().AddDate(0, 0, 5).Format(time.DateOnly) }
	before := end()
	b.keys(enter)
	b.sees("Copy it now")
	if text := b.text(); !strings.Contains(text, before) && !strings.Contains(text, end()) {
		t.Errorf("%s; want an end in five days", text)
	}
}

// Where there are scripts, a button copies, and says so.
func TestCopyButton(t *testing.T) {
	s := newSite(t, services)
	b := openAccount(t, s, true)
	b.click("a.button")
	b.begins("name")
	b.keys("nightly" + enter)
	b.sees("Copy it now")
	b.click("button[data-copy=secret]")
	b.wait("!document.querySelector('button[data-copy=secret]').nextElementSibling.hidden")
	b.sees("Copied")
}

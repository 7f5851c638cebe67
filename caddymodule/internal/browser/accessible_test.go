package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"

	"github.com/tokenep/caddy-tokenep/tokenep/page"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
	"github.com/tokenep/caddy-tokenep/verify"
)

var (
	someClient = page.Client{Name: "Notes for you", Policy: "https://notes.example/policy", TOS: "https://notes.example/terms"}
	someScope  = verify.Scope{"orders:read", "orders:write"}
	noon       = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	longWord   = strings.Repeat("Aufenthaltsbestimmung", 6)
)

// pages are all that people see, each with what makes it long.
var pages = map[string]any{
	"sign_in":        page.SignIn{Action: "/", Client: someClient},
	"sign_in_failed": page.SignIn{Action: "/", Client: someClient, Name: "ada", Failed: page.Wrong},
	"sign_in_as":     page.SignIn{Action: "/", Client: someClient, User: "ada", Failed: page.TooMany},
	"consent": page.Consent{
		Client: someClient, User: "ada", Host: "notes.example", Scope: someScope,
		Audience: []string{"https://api.example/orders"}, Remembered: true, Other: true,
	},
	"consent_unverified": page.Consent{
		Client: page.Client{Name: longWord, SelfRegistered: true, Home: "https://" + longWord + ".example"},
		User:   longWord, Scheme: "com.example.app", Scope: append(verify.Scope{longWord}, someScope...),
	},
	"consent_loopback": page.Consent{Client: someClient, User: "ada", Host: "127.0.0.1", Loopback: true},
	"device":           page.Device{Action: "/", User: "ada", Failed: "device.unknown"},
	"device_code": page.Device{
		Action: "/", User: "ada", UserCode: "BCDF-GHJK", Client: page.Client{Name: longWord, SelfRegistered: true},
		Scope: someScope, Audience: []string{"https://api.example/orders"}, Address: "2001:db8::1",
	},
	"device_done":  page.Device{Done: "device.allowed"},
	"form_post":    page.FormPost{To: "/nothing", Values: []page.Parameter{{Name: "code", Value: "1"}}},
	"error":        page.Error{Description: "client_id is missing", ID: "Y4ZSU3MKZN"},
	"error_broken": page.Error{Retry: true, ID: "Y4ZSU3MKZN"},
	"sign_out":     page.SignOut{Action: "/", User: "ada", Client: someClient},
	"signed_out":   page.SignedOut{SignIn: "/"},
	"account":      someAccount,
	"account_short": page.Account{
		User: "ada", Action: "/", SignOut: "/", APITokens: true, New: "/",
		Tokens: []page.Token{
			{ID: "01kcm3z0fr8s7tq2dyh6xw9vbe", Name: "Spreadsheet", Service: "https://api.example/invoices", Created: noon, Expires: noon.AddDate(0, 0, 90), Risk: "unused"},
			{ID: "01kcm3z0fr8s7tq2dyh6xw9vbf", Name: "Nightly export", Note: "on the build machine", Service: "https://api.example/orders", Scope: someScope[:1], Created: noon, Expires: noon.AddDate(0, 0, 90), LastUsed: noon.Add(9 * time.Hour), From: "192.0.2.7", Uses: 42, AllowFrom: "192.0.2.0/24"},
		},
		Sessions: someAccount.Sessions[:1],
	},
	"account_empty": page.Account{User: "ada", Action: "/", SignOut: "/", APITokens: true, New: "/", Done: "account.ended"},
	"new_token": page.NewToken{
		User: "ada", Action: "/", Back: "/", Days: []int{90, 60, 30, 7}, Most: 365, Forever: true, Failed: "new.many",
		Rate: "100/1m", NotBefore: "2026-03-04",
		Services: []page.Service{{Audience: "https://api.example/orders", Scope: someScope}, {Audience: "https://api.example/" + longWord}},
	},
	"new_token_wrong": page.NewToken{
		User: "ada", Action: "/", Back: "/", Days: []int{90, 60, 30, 7}, Most: 365, Failed: "new.bad", Rate: "often", Life: "custom", Custom: "400",
		Services: []page.Service{{Audience: "https://api.example/orders", Scope: someScope, Chosen: true}, {Audience: "https://api.example/invoices"}},
		Wrong: map[string]string{
			"name": "wrong.name_long", "note": "wrong.note_long", "service": "wrong.not_allowed", "days": "wrong.days", "allow_from": "wrong.addresses",
			"deny_from": "wrong.addresses", "rate": "wrong.rate", "quota": "wrong.quota", "not_before": "wrong.not_before",
		},
	},
	"made_token": page.NewToken{Back: "/", Made: &page.MadeToken{
		Token:  page.Token{Service: "https://api.example/orders", Expires: noon},
		Secret: "tokenep_pat_01kcm3z0fr8s7tq2dyh6xw9vbe_Y4ZSU3MKZNQH2P7XW6VBE5TDRC8A1F0G",
		Curl:   "curl https://auth.example/oauth/token -d grant_type=urn:ietf:params:oauth:grant-type:token-exchange -d subject_token=…",
	}},
}

var someAccount = page.Account{
	User: "ada", Action: "/", SignOut: "/", APITokens: true, New: "/", Done: "account.revoked", Failed: "account.failed",
	Tokens: []page.Token{
		{ID: "01kcm3z0fr8s7tq2dyh6xw9vbe", Name: "Nightly export", Note: "on the build machine", Service: "https://api.example/orders", Scope: someScope, Created: noon, Uses: 1234, AllowFrom: "192.0.2.0/24 2001:db8::/32", DenyFrom: "192.0.2.1", Rate: "100/1m", Quota: "10000/30d", NotBefore: noon, OldUntil: noon, Risk: "forever"},
		{ID: "01kcm3z0fr8s7tq2dyh6xw9vbf", Name: "Spreadsheet", Service: "https://api.example/orders", Scope: someScope[:1], Created: noon, Expires: noon.AddDate(0, 3, 0), LastUsed: noon, From: "2001:db8::1"},
		{ID: "01kcm3z0fr8s7tq2dyh6xw9vbg", Name: longWord, Note: longWord, Service: "https://" + longWord, Created: noon, Expires: noon, Over: "revoked", Reason: "leaked"},
		{ID: "01kcm3z0fr8s7tq2dyh6xw9vbh", Created: noon, Expires: noon, Over: "expired", Risk: "unused"},
	},
	Applications: []page.Application{
		{ID: "notes", Client: someClient, Allowed: []page.Allowed{{Scope: someScope, Audience: []string{"https://api.example/orders"}}, {}}, Created: noon, Used: noon},
	},
	Sessions: []page.Session{
		{ID: "1", Agent: "Firefox, Linux", Address: "192.0.2.7", Created: noon, Used: noon, Current: true},
		{ID: "2", Agent: "Safari, iPhone", Address: "2001:db8::2", Created: noon, Used: noon}, {ID: "3", Created: noon, Used: noon},
	},
}

// show serves the pages, each at its name, and says where.
func show(t *testing.T) string {
	t.Helper()
	set, err := page.New(page.Options{Brand: page.Brand{Name: "Example Ltd.", Logo: "/logo.svg"}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "logo.svg" {
			w.Header().Set("Content-Type", "image/svg+xml")
			_, _ = w.Write([]byte(`<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><circle cx="20" cy="20" r="18" fill="#14746f"/></svg>`))
			return
		}
		if name == "nothing" {
			w.WriteHeader(http.StatusNoContent) // the browser stays
			return
		}
		data, ok := pages[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		set.Show(w, r, http.StatusOK, data)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// eachPage runs a test for each page in each language.
func eachPage(t *testing.T, test func(t *testing.T, name, url string)) {
	t.Helper()
	base := show(t)
	for _, lang := range []string{"en", "de"} {
		for name := range pages {
			t.Run(name+"/"+lang, func(t *testing.T) { test(t, name, base+name+"?ui_locales="+lang) })
		}
	}
}

// unfold opens what is folded.
func (b *tab) unfold() {
	b.t.Helper()
	eval[any](b, "document.querySelectorAll('details').forEach(d => d.open = true)")
}

// axe returns the text of axe-core, as .ci/run installs it.
func axe(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(os.Getenv("NPM_CLIENTS"), "node_modules/axe-core/axe.min.js"))
	if err != nil {
		servertest.Check(t, fmt.Errorf("the npm package is %w: run: npm install --prefix DIR axe-core@4.14.1, and set NPM_CLIENTS=DIR", servertest.ErrMissing))
	}
	return string(text)
}

// audit is what axe-core has to say: one line for each thing that is wrong. It knows the size of
// targets (WCAG 2.2 §2.5.8), and has to be asked for it.
const audit = `axe.run(document, {resultTypes: ["violations"], rules: {"target-size": {enabled: true}}}).then(r => r.violations.flatMap(v =>
	v.nodes.map(n => v.id + ": " + v.help + ": " + n.html + ": " + n.failureSummary)))`

// axe-core finds nothing on any page: in light and dark, narrow and wide, in each language. It is a
// script of another origin, which the policy of the pages forbids.
func TestPagesAreAccessible(t *testing.T) {
	script := axe(t)
	b := newTab(t, true)
	call(b, cdppage.SetBypassCSP, cdppage.SetBypassCSPParams{Enabled: true})
	eachPage(t, func(t *testing.T, _, url string) {
		b := &tab{t, b.ctx}
		b.open(url)
		b.unfold()
		eval[any](b, script+"; true")
		for _, scheme := range []string{"light", "dark"} {
			b.media("prefers-color-scheme", scheme)
			for _, width := range []int64{320, 1280} {
				b.resize(width, 800)
				for _, found := range eval[[]string](b, audit) {
					t.Errorf("%s, %d px: %s", scheme, width, found)
				}
			}
		}
	})
}

// No page is wider than the window: 320 px, as it is at 400 % of a wide one (WCAG 2.2 §1.4.10), at
// text of 200 % (§1.4.4), and with the spacing of §1.4.12.
func TestPagesFit(t *testing.T) {
	b := newTab(t, true)
	eachPage(t, func(t *testing.T, _, url string) {
		b := &tab{t, b.ctx}
		for _, row := range []struct {
			width int64
			style string
		}{
			{320, ""},
			{320, "line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important"},
			{640, "font-size: 200%"}, {1280, ""},
		} {
			b.resize(row.width, 800)
			b.open(url)
			b.unfold()
			eval[any](b, fmt.Sprintf("document.documentElement.style.cssText = %q", row.style))
			if got := eval[int64](b, "document.scrollingElement.scrollWidth"); got > row.width {
				t.Errorf("%d px with %q: it is %d px wide; %s", row.width, row.style, got, eval[[]string](b, tooWide))
			}
		}
	})
}

// tooWide is what reaches beyond the window.
const tooWide = `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth)
	.map(e => e.outerHTML.slice(0, 100))`

// Every element that can be used gets the keyboard in the order of the page, and shows that it has
// it, also where the system chooses the colours. Nothing moves. A page may begin in the middle, at
// the field to fill in: then it goes round.
func TestPagesByKeyboard(t *testing.T) {
	b := newTab(t, false)
	eachPage(t, func(t *testing.T, _, url string) {
		b := &tab{t, b.ctx}
		colours := "none"
		if strings.HasSuffix(url, "de") {
			colours = "active"
		}
		b.media("forced-colors", colours)
		b.open(url)
		b.unfold()
		if moving := eval[int](b, "document.getAnimations().length"); moving > 0 {
			t.Errorf("%d elements move", moving)
		}
		want := eval[[]string](b, reachable)
		const active = "document.activeElement.dataset.place || ''"
		if first := slices.Index(want, eval[string](b, active)); first > 0 {
			want = slices.Concat(want[first:], want[:first])
		} else if first < 0 {
			b.keys(tabKey)
		}
		var got []string
		for range want {
			place := eval[string](b, active)
			if place == "" { // the end of the page
				b.keys(tabKey)
				place = eval[string](b, active)
			}
			got = append(got, place)
			if outline := eval[string](b, outlineOfActive); outline != "solid 3px" {
				t.Errorf("%s does not show that it has the keyboard: outline %s", eval[string](b, "document.activeElement.outerHTML"), outline)
			}
			for range 4 { // the parts of a date
				if b.keys(tabKey); eval[string](b, active) != place {
					break
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the keyboard goes to %q, want %q", got, want)
		}
	})
}

const outlineOfActive = `(s => s.outlineStyle + " " + s.outlineWidth)(getComputedStyle(document.activeElement))`

// reachable numbers what the keyboard has to reach. It reaches one of a group of radio buttons:
// arrows reach the others.
const reachable = `[...document.querySelectorAll("a, button, input, select, summary, [tabindex]")].filter(e =>
	e.checkVisibility() && e.type != "hidden" && !(e.type == "radio" && !e.checked)).map((e, i) => e.dataset.place = String(i))`

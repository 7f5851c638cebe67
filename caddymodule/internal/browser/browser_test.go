// Package browser has what is proven of the pages in a real browser: Debian's chromium, headless,
// in front of a real Caddy.
//
//	browser_test.go     the browser, and one tab of it, as a person uses it
//	site_test.go        a Caddy that signs people in, and a client of it
//	sign_in_test.go     people sign in, decide, and sign out; with and without scripts
//	account_test.go     people make API tokens, and see and end what has access
//	device_test.go      they allow a device
//	other_site_test.go  what a page of another site cannot do to them
//	accessible_test.go  every page by axe-core, by keyboard, at every width
//	screenshot_test.go  pictures of every page, for people to look at
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// patience is how long something may take on a busy machine.
const patience = time.Minute

// chromium starts the browser that all tests share, when the first one wants it.
var chromium = sync.OnceValues(func() (context.Context, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("chromium is %w: apt-get install chromium", servertest.ErrMissing)
	}
	profile, err := os.MkdirTemp("", "browser")
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.DisableGPU,
		chromedp.IgnoreCertErrors, // of Caddy's own authority
		chromedp.Flag("accept-lang", "en"), chromedp.WSURLReadTimeout(patience))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which is not for root
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocator)
	closeBrowser = func() {
		end()
		stop()
		_ = os.RemoveAll(profile)
	}
	return ctx, chromedp.Do(ctx)
})

var closeBrowser = func() {}

func TestMain(m *testing.M) {
	status := m.Run()
	closeBrowser()
	os.Exit(status)
}

// tab is a window with cookies of its own.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// newTab opens one that ends with the test. It says in English, at a size of 1024 by 768, on
// light ground what nobody has asked to be otherwise.
func newTab(t *testing.T, scripts bool) *tab {
	t.Helper()
	browser, err := chromium()
	servertest.Check(t, err)
	ctx, end := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	ctx, cancel := context.WithTimeout(ctx, 10*patience)
	t.Cleanup(func() { cancel(); end() })
	b := &tab{t, ctx}
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripts})
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	b.resize(1024, 768)
	b.media("prefers-color-scheme", "light")
	return b
}

// call makes a call of the protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (R, error) {
		return cdp.Call(ctx, t, command, params)
	})
	if err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// resize sets the size of the window, in CSS pixels.
func (b *tab) resize(width, height int64) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1,
	})
}

// media sets features of the media queries, by name and value.
func (b *tab) media(pairs ...string) {
	b.t.Helper()
	var features []*emulation.MediaFeature
	for i := 0; i < len(pairs); i += 2 {
		features = append(features, &emulation.MediaFeature{Name: pairs[i], Value: pairs[i+1]})
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
}

// open goes to a page.
func (b *tab) open(url string) {
	b.t.Helper()
	if got := call(b, page.Navigate, page.NavigateParams{URL: url}); got.ErrorText != "" {
		b.t.Fatalf("%s: %s", url, got.ErrorText)
	}
	b.wait("document.readyState == 'complete' && location.href != 'about:blank'")
}

// eval returns the value of a JavaScript expression, which is no script of the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// wait waits until a condition holds, on this page or on the one that follows.
func (b *tab) wait(condition string) {
	b.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var holds bool
		if holds, err = chromedp.Run(b.ctx, chromedp.Evaluate[bool](condition)); holds {
			return
		}
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	b.t.Fatalf("never: %s: %v; at %s:\n%s", condition, err, b.at(), b.text())
}

// sees waits for a page that is complete and has a text.
func (b *tab) sees(text string) {
	b.t.Helper()
	b.wait("document.readyState == 'complete' && document.body.innerText.includes(" + strconv.Quote(text) + ")")
}

// text returns what is to be read.
func (b *tab) text() string { b.t.Helper(); return eval[string](b, "document.body.innerText") }

// at returns where the browser is.
func (b *tab) at() string { b.t.Helper(); return eval[string](b, "location.href") }

// focused returns the element that has the keyboard: its name or value, or what it says.
func (b *tab) focused() string {
	b.t.Helper()
	return eval[string](b, `(() => {
		const e = document.activeElement;
		if (e == document.body) return "";
		return e.matches("input,select") ? e.name : e.innerText.trim();
	})()`)
}

// begins waits for a page that is complete, and gives a field the keyboard.
func (b *tab) begins(field string) {
	b.t.Helper()
	b.wait("document.readyState == 'complete' && document.activeElement.name == " + strconv.Quote(field))
}

// The keys that people use.
const (
	tabKey = "\t"
	enter  = "\r"
)

// keys types.
func (b *tab) keys(text string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.KeyEvent(text)); err != nil {
		b.t.Fatal(err)
	}
}

// click clicks in the middle of the first element that fits, where it has to be to be seen.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.wait("document.readyState == 'complete' && !!document.querySelector(" + strconv.Quote(selector) + ")")
	place := eval[[]float64](b, `(() => {
		const e = document.querySelector(`+strconv.Quote(selector)+`);
		e.scrollIntoView({block: "center"});
		const r = e.getBoundingClientRect();
		return [r.x + r.width / 2, r.y + r.height / 2];
	})()`)
	if err := chromedp.Do(b.ctx, chromedp.MouseClickXY(place[0], place[1])); err != nil {
		b.t.Fatal(err)
	}
}

// framed returns what is shown in a frame, which is of another site: its URL and text.
func (b *tab) framed() string {
	b.t.Helper()
	targets, err := chromedp.Targets(b.ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, target := range targets {
		if target.Type == "iframe" && target.BrowserContextID == chromedp.FromContext(b.ctx).BrowserContextID {
			ctx, end := chromedp.NewContext(b.ctx, chromedp.WithTargetID(target.TargetID))
			b.t.Cleanup(end) // the tab ends with it
			return eval[string](&tab{b.t, ctx}, "location.href + ' ' + document.body.innerText")
		}
	}
	b.t.Fatal("there is no frame")
	return ""
}

// opens returns the window that something opens.
func (b *tab) opens(does func()) *tab {
	b.t.Helper()
	known := make(map[string]bool)
	all := func() []*target.Info {
		targets, err := chromedp.Targets(b.ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		return targets
	}
	for _, x := range all() {
		known[string(x.TargetID)] = true
	}
	does()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, x := range all() {
			if x.Type == "page" && !known[string(x.TargetID)] {
				ctx, end := chromedp.NewContext(b.ctx, chromedp.WithTargetID(x.TargetID))
				b.t.Cleanup(end)
				window := &tab{b.t, ctx}
				call(window, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
				return window
			}
		}
	}
	b.t.Fatal("no window was opened")
	return nil
}

// attribute returns that of the first element that fits; empty: it has none.
func (b *tab) attribute(selector, name string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf("document.querySelector(%q).getAttribute(%q) || ''", selector, name))
}

// button is the selector of one that sends a value.
func button(value string) string { return fmt.Sprintf("button[value=%q]", value) }

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in\n%s", part, text)
		}
	}
}

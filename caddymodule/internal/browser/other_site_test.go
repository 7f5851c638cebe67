package browser

import (
	"net/url"
	"strings"
	"testing"
)

// otherSite is a page of an origin that is not the issuer's: a frame of a page of ours, or a form
// that is sent to it.
func (s *site) otherSite(kind, to string, fields ...string) string {
	q := url.Values{"to": {to}}
	for i := 0; i < len(fields); i += 2 {
		q.Set(fields[i], fields[i+1])
	}
	return s.client.URL + "/" + kind + "?" + q.Encode()
}

// No page of ours is shown inside of another site's, where people could be made to click on what
// they do not see.
func TestNoPageInAFrame(t *testing.T) {
	s := newSite(t, services)
	for path, shown := range map[string]bool{"/": true, "/oauth/account": false, "/oauth/sign-in": false, "/oauth/sign-out": false} {
		b := newTab(t, true)
		b.open(s.otherSite("frame", s.url+path))
		b.wait("document.title == 'loaded'")
		if got := b.framed(); strings.HasPrefix(got, s.url) != shown {
			t.Errorf("%s: it shows %s; want the page: %t", path, got, shown)
		}
	}
}

// A form of another site does nothing, even with what is hidden in a page of ours: the cookies of a
// browser do not go with it, and the browser says where it comes from.
func TestNoFormOfAnotherSite(t *testing.T) {
	s := newSite(t, services)
	b := openAccount(t, s, true)
	b.click("a.button")
	b.begins("name")
	b.keys("nightly" + enter)
	b.made()
	page, id := b.attribute("input[name=page]", "value"), b.attribute("input[name=id]", "value")
	for action, not := range map[string]string{"revoke": "The API token was revoked.", "roll": "Copy it now", "end_all": "You are signed out"} {
		b.open(s.otherSite("form", s.url+"/oauth/account", "page", page, "id", id, "action", action))
		b.click("button")
		b.wait("location.origin == '" + s.url + "' && document.readyState == 'complete'")
		if strings.Contains(b.text(), not) {
			t.Errorf("%s: %s", action, b.text())
		}
		b.open(s.url + "/oauth/account")
		b.sees("Your access")
		if !strings.Contains(b.text(), "Replace or revoke") {
			t.Errorf("after %s: %s", action, b.text())
		}
	}
	// Nor can it sign somebody in, to have them work in an account of its own.
	flow := newTab(t, true)
	flow.open(s.url + "/oauth/sign-in")
	sealed := flow.attribute("input[name=flow]", "value")
	fresh := newTab(t, true)
	fresh.open(s.otherSite("form", s.url+"/oauth/sign-in", "flow", sealed, "username", "ada", "password", "wonderland"))
	fresh.click("button")
	fresh.sees("This does not work")
	fresh.open(s.url + "/oauth/account")
	fresh.begins("username")
}

// A request that a client has the browser send by POST is answered as one by GET: whoever has
// signed in is known, and the page that is open in another tab stays good.
func TestRequestByPOSTOfAnotherSite(t *testing.T) {
	s := newSite(t, services)
	b := openAccount(t, s, true)
	page, to := b.attribute("input[name=page]", "value"), s.asks("prompt", "consent")
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	var fields []string
	for name, values := range u.Query() {
		fields = append(fields, name, values[0])
	}
	b.open(s.otherSite("form", s.url+"/oauth/authorize", fields...))
	b.click("button")
	b.sees("Allow access?")
	b.open(s.url + "/oauth/account")
	b.sees("Your access")
	eval[any](b, "document.querySelector('input[name=page]').value = '"+page+"'")
	b.click(button("end_all"))
	b.sees("You are signed out")
}

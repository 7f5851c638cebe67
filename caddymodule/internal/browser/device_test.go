package browser

import (
	"encoding/json"
	"net/url"
	"testing"
)

const deviceClient = `client tv {
	name "Living room"
	auth_method none
	grants device_code
	scope orders:read
	audience %SITE%/orders
}`

// postForm sends a form as a device does, and decodes the answer into result.
func (s *site) postForm(path string, result any, pairs ...string) {
	s.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	a, err := trusting.PostForm(s.url+path, form)
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Body.Close()
	if err := json.NewDecoder(a.Body).Decode(result); err != nil {
		s.t.Fatal(err)
	}
}

// A person types the code that a device shows (RFC 8628 §3.3), wrong and then right, and is always
// told what it is about.
func TestPersonAllowsADevice(t *testing.T) {
	s := newSite(t, deviceClient)
	withAndWithout(t, func(t *testing.T, scripts bool) {
		s.t = t
		var device struct {
			Code     string `json:"device_code"`
			UserCode string `json:"user_code"`
			URI      string `json:"verification_uri"`
		}
		s.postForm("/oauth/device_authorization", &device, "client_id", "tv")
		b := newTab(t, scripts)
		b.open(device.URI)
		b.signIn()
		b.begins("user_code")
		b.keys("bbbb-bbbb" + enter)
		b.sees("No device waits for this code.")
		b.begins("user_code")
		b.keys(device.UserCode + enter)
		b.sees("Allow this device?")
		contains(t, b.text(), "Living room", device.UserCode, "ada", "orders:read", "Whoever sent you a link")
		b.click(button("allow"))
		b.sees("You can close this window.")
		var answer struct {
			Token string `json:"access_token"`
			Error string `json:"error"`
		}
		s.postForm("/oauth/token", &answer, "client_id", "tv", "device_code", device.Code,
			"grant_type", "urn:ietf:params:oauth:grant-type:device_code")
		if got := s.call("/orders", answer.Token); got != 200 {
			t.Errorf("%s: /orders: %d, want 200", answer.Error, got)
		}
	})
}

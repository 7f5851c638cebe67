package endpoint_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

const devicePath = "/oauth/device"

// withTV adds a public client that waits for people, and another one.
func withTV(c *server.Config) {
	for _, id := range []string{"tv", "radio"} {
		c.Clients = append(c.Clients, tokenep.Client{
			ID: id, Name: "The " + id, AuthMethod: tokenep.AuthNone, GrantTypes: []string{grant.DeviceCodeType, grant.RefreshTokenType},
			Scope: verify.Scope{"read", "write"}, DefaultScope: verify.Scope{"read"}, Audience: []string{tokeneptest.Orders},
		})
	}
}

// askForCode returns what a device gets (RFC 8628 §3.2).
func askForCode(t *testing.T, s *tokeneptest.Server, pairs ...string) (deviceCode, userCode string) {
	t.Helper()
	a := s.Send(t, tokeneptest.Post(append([]string{"client_id", "tv"}, pairs...)...).At("/oauth/device_authorization"))
	deviceCode, _ = a.JSON["device_code"].(string)
	userCode, _ = a.JSON["user_code"].(string)
	if a.Status != http.StatusOK || deviceCode == "" || userCode == "" {
		t.Fatalf("%d %s; want codes", a.Status, a.Body)
	}
	a.NotStored(t)
	return deviceCode, userCode
}

// poll returns the request by which a device asks (§3.4).
func poll(client, code string, pairs ...string) tokeneptest.Request {
	return tokeneptest.Post(append([]string{"grant_type", grant.DeviceCodeType, "client_id", client, "device_code", code}, pairs...)...)
}

// ann returns a browser in which ann has signed in.
func ann(t *testing.T, s *tokeneptest.Server) *tokeneptest.Browser {
	t.Helper()
	b := s.Browser()
	b.Open(t, tokeneptest.SignInPath)
	b.SignIn(t, "ann")
	return b
}

// RFC 8628: from the code on the screen to the tokens.
func TestDevice(t *testing.T) {
	s, _ := newSite(t, withTV)
	a := s.Send(t, tokeneptest.Post("client_id", "tv", "scope", "read write").At("/oauth/device_authorization"))
	for member, want := range map[string]any{
		"verification_uri": tokeneptest.Issuer + devicePath, "expires_in": 600.0, "interval": 5.0,
		"verification_uri_complete": tokeneptest.Issuer + devicePath + "?user_code=" + a.JSON["user_code"].(string),
	} {
		if a.JSON[member] != want {
			t.Errorf("%s is %v, want %v", member, a.JSON[member], want)
		}
	}
	code, userCode := a.JSON["device_code"].(string), a.JSON["user_code"].(string)
	s.Send(t, poll("tv", code)).Refused(t, http.StatusBadRequest, tokenep.AuthorizationPending)

	b := s.Browser()
	if b.Open(t, devicePath); !strings.HasPrefix(b.At(), tokeneptest.SignInPath) {
		t.Fatalf("at %s; want the page to sign in", b.At())
	}
	if b.SignIn(t, "ann"); !strings.Contains(b.Text(), "The code that the device shows") {
		t.Fatalf("at %s: %s; want the page that asks for the code", b.At(), b.Text())
	}
	b.Submit(t, "", "user_code", strings.ToLower(strings.ReplaceAll(userCode, "-", " ")))
	for _, want := range []string{"Allow this device?", "The tv", userCode, "read write", "You are ann", "127.0.0.1", "Whoever sent you a link"} {
		if !strings.Contains(b.Text(), want) {
			t.Errorf("no %q in %s", want, b.Text())
		}
	}
	if b.Submit(t, "allow"); !strings.Contains(b.Text(), "You can close this window.") {
		t.Fatalf("%s", b.Text())
	}
	got := s.Send(t, poll("tv", code))
	token, err := s.Verify(t, got.AccessToken())
	if err != nil || token.Subject != "ann" || token.ClientID != "tv" || token.Scope.String() != "read write" {
		t.Fatalf("%d %s %v", got.Status, got.Body, err)
	}
	if a := s.Send(t, tokeneptest.Post("grant_type", "refresh_token", "client_id", "tv", "refresh_token", got.RefreshToken())); a.Status != http.StatusOK {
		t.Errorf("refresh: %d %s", a.Status, a.Body)
	}
	// Once more ends nothing, and gives nothing.
	s.Send(t, poll("tv", code)).Refused(t, http.StatusBadRequest, tokenep.InvalidGrant)
	if _, err := s.Verify(t, got.AccessToken()); err != nil {
		t.Error(err)
	}
	// It is among what ann has allowed, and ends with it.
	b.Open(t, tokeneptest.AccountPath)
	if b.Submit(t, "forget"); !strings.Contains(b.Text(), "The application has no access any more.") {
		t.Fatalf("%s", b.Text())
	}
	if _, err := s.Verify(t, got.AccessToken()); err == nil {
		t.Error("the access token is still good")
	}
}

// §3.3.1, §5.4: a link is confirmed like a code that was typed.
func TestDeviceLink(t *testing.T) {
	s, _ := newSite(t, withTV)
	code, userCode := askForCode(t, s)
	link := devicePath + "?" + url.Values{"user_code": {userCode}}.Encode()
	b := s.Browser()
	b.Open(t, link)
	if b.SignIn(t, "ann"); !strings.Contains(b.Text(), "Allow this device?") {
		t.Fatalf("at %s: %s; want a question", b.At(), b.Text())
	}
	s.Send(t, poll("tv", code)).Refused(t, http.StatusBadRequest, tokenep.AuthorizationPending)
	if b.Submit(t, "deny"); !strings.Contains(b.Text(), "The device was denied.") {
		t.Errorf("%s", b.Text())
	}
	s.Clock.Advance(5 * time.Second)
	s.Send(t, poll("tv", code)).Refused(t, http.StatusBadRequest, tokenep.AccessDenied)
	if b.Open(t, link); !strings.Contains(b.Text(), "This code was used before.") {
		t.Errorf("%s", b.Text())
	}
}

// §3.5: what a device is told.
func TestDevicePolls(t *testing.T) {
	s, _ := newSite(t, withTV)
	code, _ := askForCode(t, s)
	for i, step := range []struct {
		wait time.Duration
		want tokenep.Code
	}{
		{0, tokenep.AuthorizationPending}, {time.Second, tokenep.SlowDown}, // 10 s from now on
		{6 * time.Second, tokenep.SlowDown}, {15 * time.Second, tokenep.AuthorizationPending},
		{15 * time.Second, tokenep.AuthorizationPending}, {10 * time.Minute, tokenep.ExpiredToken},
	} {
		s.Clock.Advance(step.wait)
		a := s.Send(t, poll("tv", code))
		if a.JSON["error"] != string(step.want) {
			t.Errorf("poll %d: %s, want %s", i, a.Body, step.want)
		}
	}
}

// §3.1, §3.4: bad requests spend nothing.
func TestDeviceRefused(t *testing.T) {
	s, _ := newSite(t, withTV)
	code, userCode := askForCode(t, s)
	ask := func(pairs ...string) tokeneptest.Request {
		return tokeneptest.Post(pairs...).At("/oauth/device_authorization")
	}
	s.Run(t, []tokeneptest.Rule{
		tokeneptest.Refuses("3.1: no client", ask(), 401, tokenep.InvalidClient),
		tokeneptest.Refuses("3.1: a client without the grant", ask().By("site"), 400, tokenep.UnauthorizedClient),
		tokeneptest.Refuses("3.1: a wider scope", ask("client_id", "tv", "scope", "admin"), 400, tokenep.InvalidScope),
		tokeneptest.Refuses("3.1: a malformed scope", ask("client_id", "tv", "scope", "\"x"), 400, tokenep.InvalidScope),
		tokeneptest.Refuses("RFC 8707: another resource", ask("client_id", "tv", "resource", tokeneptest.Invoices), 400, tokenep.InvalidTarget),
		tokeneptest.Refuses("3.4: no device_code", poll("tv", ""), 400, tokenep.InvalidRequest),
		tokeneptest.Refuses("3.4: an unknown device_code", poll("tv", "x"), 400, tokenep.InvalidGrant),
		tokeneptest.Refuses("3.4: another client", poll("radio", code), 400, tokenep.InvalidGrant),
	})
	b := ann(t, s)
	b.Open(t, devicePath+"?user_code="+userCode)
	b.Submit(t, "allow")
	s.Run(t, []tokeneptest.Rule{
		tokeneptest.Refuses("3.4: another client, once allowed", poll("radio", code), 400, tokenep.InvalidGrant),
		tokeneptest.Refuses("3.4: a wider scope", poll("tv", code, "scope", "write"), 400, tokenep.InvalidScope),
	})
	if a := s.Send(t, poll("tv", code)); a.Status != http.StatusOK {
		t.Errorf("%d %s; want tokens", a.Status, a.Body)
	}
}

// The page is of one person and one browser, and its form comes from nowhere else.
func TestDevicePageAttacks(t *testing.T) {
	s, _ := newSite(t, withTV)
	_, userCode := askForCode(t, s)
	b := ann(t, s)
	b.Open(t, devicePath+"?user_code="+userCode)
	b.Header.Set("Sec-Fetch-Site", "cross-site")
	if a := b.Submit(t, "allow"); a.Status != http.StatusBadRequest {
		t.Errorf("a form of another site: %d", a.Status)
	}
	b.Header.Del("Sec-Fetch-Site")
	b.Open(t, devicePath+"?user_code="+userCode)
	bob := s.Browser()
	bob.Open(t, tokeneptest.SignInPath)
	bob.SignIn(t, "bob")
	b.Cookies = bob.Cookies
	if a := b.Submit(t, "allow"); a.Status != http.StatusBadRequest {
		t.Errorf("a page of another: %d", a.Status)
	}
}

// Whatever verb of the store fails while a device asks, nothing is lost: it asks again and gets its
// tokens, once.
func TestDevicePollsAgainAfterAnOutage(t *testing.T) {
	for _, refreshes := range []bool{true, false} {
		var faulty *storetest.Faulty
		s, _ := newSite(t, withTV, func(c *server.Config) {
			faulty = storetest.NewFaulty(c.Store)
			c.Store = faulty
			if !refreshes {
				c.Clients[len(c.Clients)-2].GrantTypes = []string{grant.DeviceCodeType}
			}
		})
		b := ann(t, s)
		for fails, status := 0, 0; status != http.StatusOK; fails++ {
			code, userCode := askForCode(t, s)
			b.Open(t, devicePath+"?user_code="+userCode)
			b.Submit(t, "allow")
			verbs := 0
			faulty.Fail(func(call storetest.Call) storetest.Fault {
				if call.Kind != "device" && call.Kind != "family" {
					return storetest.None
				}
				if verbs++; verbs == fails+1 {
					return storetest.Away
				}
				return storetest.None
			})
			a := s.Send(t, poll("tv", code))
			faulty.Fail(nil)
			if status = a.Status; status == http.StatusOK {
				if fails < 3 {
					t.Errorf("%d verbs, want 3 at least", fails)
				}
				break
			}
			if status != http.StatusServiceUnavailable {
				t.Errorf("verb %d fails: %d %s", fails, a.Status, a.Body)
			}
			again := s.Send(t, poll("tv", code))
			if again.Status != http.StatusOK || (again.RefreshToken() != "") != refreshes {
				t.Errorf("after verb %d had failed: %d %s", fails, again.Status, again.Body)
			}
			s.Send(t, poll("tv", code)).Refused(t, http.StatusBadRequest, tokenep.InvalidGrant)
		}
	}
}

// Of many polls after the user has allowed it, one gets the tokens.
func TestDeviceRace(t *testing.T) {
	s, _ := newSite(t, withTV)
	code, userCode := askForCode(t, s)
	b := ann(t, s)
	b.Open(t, devicePath+"?user_code="+userCode)
	b.Submit(t, "allow")
	var mu sync.Mutex
	var wg sync.WaitGroup
	statuses := make(map[int]int)
	for range 20 {
		wg.Go(func() {
			a := s.Send(t, poll("tv", code))
			mu.Lock()
			defer mu.Unlock()
			statuses[a.Status]++
		})
	}
	wg.Wait()
	if statuses[http.StatusOK] != 1 || statuses[http.StatusBadRequest] != 19 {
		t.Errorf("statuses %v, want one 200", statuses)
	}
}

// What the user has taken back before the device asked again is not given, whether or not the
// client gets refresh tokens, and however long ago that was.
func TestDeviceRevokedBeforeItAsks(t *testing.T) {
	for _, later := range []time.Duration{0, 20 * time.Minute} {
		s, _ := newSite(t, func(c *server.Config) {
			c.TokenTTL, c.DeviceCode.Life = 5*time.Minute, time.Hour
			withTV(c)
			c.Clients[len(c.Clients)-2].GrantTypes = []string{grant.DeviceCodeType}
		})
		code, userCode := askForCode(t, s)
		b := ann(t, s)
		b.Open(t, devicePath+"?user_code="+userCode)
		b.Submit(t, "allow")
		b.Open(t, tokeneptest.AccountPath)
		if b.Submit(t, "forget"); !strings.Contains(b.Text(), "The application has no access any more.") {
			t.Fatal(b.Text())
		}
		s.Clock.Advance(later)
		s.Send(t, poll("tv", code)).Refused(t, http.StatusBadRequest, tokenep.InvalidGrant)
	}
}

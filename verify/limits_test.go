package verify_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// usesOf is a guard whose clock a test moves, and a request to it from an address.
func usesOf(t *testing.T, issuer *verifytest.Issuer, now *time.Time) func(token, from string) *httptest.ResponseRecorder {
	t.Helper()
	guard := &verify.Guard{
		Verifier: newVerifier(t, issuer, func(c *verify.Config) { c.Cache = verify.NewCache(10, issuer.Now) }),
		Scope:    verify.Scope{"read"}, Rates: verify.NewRates(func() time.Time { return *now }),
		Headers: []verify.HeaderClaim{{Header: "X-User-Id", Claim: verify.ClaimPath{"sub"}}},
	}
	return func(token, from string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest(http.MethodGet, "/orders", nil), httptest.NewRecorder()
		r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(from), 1234).String()
		r.Header.Set("Authorization", "Bearer "+token)
		guard.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		return w
	}
}

type (
	list   = []any
	object = map[string]any
)

// All limits of a token apply, whatever they came of.
func TestGuardHoldsToTheAddressesOfAToken(t *testing.T) {
	issuer, now := newIssuer(), noon
	send := usesOf(t, issuer, &now)
	office := object{"id": "a", "allow_from": list{"192.0.2.0/24", "2001:db8::/32"}}
	notGuests := object{"id": "b", "deny_from": list{"192.0.2.128/25"}}
	for _, row := range []struct {
		name   string
		limits any
		from   string
		status int
	}{
		{"allowed", list{office}, "192.0.2.1", 200},
		{"allowed, IPv4 in IPv6", list{office}, "::ffff:192.0.2.1", 200},
		{"allowed, IPv6", list{office}, "2001:db8::1", 200},
		{"not allowed", list{office}, "198.51.100.1", 403},
		{"not denied", list{notGuests}, "198.51.100.1", 200},
		{"denied", list{notGuests}, "192.0.2.200", 403},
		{"both apply", list{office, notGuests}, "192.0.2.1", 200},
		{"both apply: the first", list{office, notGuests}, "198.51.100.1", 403},
		{"both apply: the second", list{office, notGuests}, "192.0.2.200", 403},
		{"none but a name", list{object{"id": "a"}}, "198.51.100.1", 200},
		{"empty", list{}, "192.0.2.1", 401},
		{"an object", office, "192.0.2.1", 401},
		{"an unknown member", list{object{"id": "a", "only_on": "monday"}}, "192.0.2.1", 401},
		{"a member in other letters", list{object{"id": "a", "Allow_From": list{"0.0.0.0/0"}}}, "192.0.2.1", 401},
		{"without a name", list{object{"allow_from": list{"0.0.0.0/0"}}}, "192.0.2.1", 401},
		{"an empty list of addresses", list{object{"id": "a", "allow_from": list{}}}, "192.0.2.1", 401},
		{"no list of addresses", list{object{"id": "a", "allow_from": nil}}, "192.0.2.1", 401},
		{"no address", list{object{"id": "a", "allow_from": list{"everywhere"}}}, "192.0.2.1", 401},
		{"an empty rate", list{object{"id": "a", "rate": ""}}, "192.0.2.1", 401},
		{"no rate", list{object{"id": "a", "rate": "often"}}, "192.0.2.1", 401},
	} {
		t.Run(row.name, func(t *testing.T) {
			token := issuer.Sign(verifytest.Claims{"scope": "read", "use_limits": row.limits})
			for range 2 { // the second time the token is cached
				w := send(token, row.from)
				if w.Code != row.status {
					t.Fatalf("%d %s, want %d", w.Code, w.Header().Get("WWW-Authenticate"), row.status)
				}
				want := `Bearer realm="api", error="access_denied", error_description="the access token may not be used from this address"`
				if got := w.Header().Get("WWW-Authenticate"); w.Code == http.StatusForbidden && got != want {
					t.Errorf("got %s\nwant %s", got, want)
				}
			}
		})
	}
}

func TestGuardCountsTheRateOfAToken(t *testing.T) {
	issuer, now := newIssuer(), noon
	send := usesOf(t, issuer, &now)
	claims := func(scope string, limits ...any) string {
		return issuer.Sign(verifytest.Claims{"scope": scope, "use_limits": limits})
	}
	a, slow := object{"id": "a", "rate": "3/1m"}, object{"id": "s", "rate": "1/1h"}
	one, other := claims("read", a), claims("read extra", a) // which count together
	both := claims("read", a, slow)
	const from = "192.0.2.1"
	want := func(name, token string, status int, retry string) {
		t.Helper()
		if w := send(token, from); w.Code != status || w.Header().Get("Retry-After") != retry {
			t.Errorf("%s: %d, Retry-After %q, want %d, %q", name, w.Code, w.Header().Get("Retry-After"), status, retry)
		}
	}
	want("refused by another rule, and not counted", claims("write", a), 403, "")
	want("refused by its address, and not counted", claims("read", object{"id": "a", "rate": "3/1m", "allow_from": list{"10.0.0.0/8"}}), 403, "")
	want("1", one, 200, "")
	want("2", other, 200, "")
	want("3", both, 200, "")
	want("4", one, 429, "20")
	want("4, of the other", other, 429, "20")
	now = now.Add(19 * time.Second)
	want("a second early", one, 429, "1")
	now = now.Add(time.Second)
	want("the second limit, which leaves the first alone", both, 429, "3580")
	want("in time", one, 200, "")
	want("again", one, 429, "20")
	now = now.Add(-time.Hour) // the clock is set back
	want("after the clock was set back", one, 200, "")
	now = now.Add(24 * time.Hour)
	for range 3 {
		want("the whole rate again", other, 200, "")
	}
	want("and no more", other, 429, "20")
	want("no limit", issuer.Sign(verifytest.Claims{"scope": "read"}), 200, "")
}

// Rates forget what is whole again, and are bounded when nothing is.
func TestRatesAreBounded(t *testing.T) {
	now := noon
	rates := verify.NewRates(func() time.Time { return now })
	rate := verify.Rate{N: 1, Per: time.Hour}
	name := func(i int) string { return time.Duration(i).String() }
	for i := range 200_000 {
		rates.Take("i", name(i), rate)
	}
	if n := rates.Len(); n > 140_000 {
		t.Errorf("%d are remembered", n)
	}
	now = now.Add(time.Hour)
	for i := range 200_000 {
		if rates.Take("i", name(1_000_000+i), rate) > 0 {
			t.Fatal("a new one is limited")
		}
	}
	if rates.Take("i", name(1_199_999), rate) != time.Hour {
		t.Error("the newest is forgotten")
	}
}

// The text of a rate has one reading, and what parses is written so that it parses as the same.
func FuzzRate(f *testing.F) {
	for _, text := range []string{"", "1/1s", "100/m", "5/24h", "1/366d", "1000000000/90s", "0/1s", "1/0s", "-1/s", "+1/s", "1/1.5s", "1/367d", "1/1w", "1/", "/1s", "1/1ms"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rate, err := verify.ParseRate(text)
		if err != nil {
			if !rate.IsZero() {
				t.Errorf("%q: %v and %v", text, rate, err)
			}
			return
		}
		if again, err := verify.ParseRate(rate.String()); err != nil || again != rate {
			t.Errorf("%q is %v, written %q, and read as %v, %v", text, rate, rate, again, err)
		}
		if !rate.IsZero() && rate.Validate() != nil {
			t.Errorf("%q is %v, which is not valid", text, rate)
		}
	})
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]verify.Rate{
		"": {}, "100/1m": {N: 100, Per: time.Minute}, "100/m": {N: 100, Per: time.Minute}, "5/90s": {N: 5, Per: 90 * time.Second},
		"1/7d": {N: 1, Per: 7 * 24 * time.Hour}, "1/24h": {N: 1, Per: 24 * time.Hour},
	} {
		if got, err := verify.ParseRate(text); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"0/1s", "1/0s", "-1/s", "1/1.5s", "1/367d", "1/1w", "1/", "/1s", "1", "1/1ms", "1000000001/1s", "1/s/s", " 1/s"} {
		if got, err := verify.ParseRate(text); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
	if got := (verify.Rate{N: 2, Per: 48 * time.Hour}).String(); got != "2/2d" {
		t.Errorf("written %q", got)
	}
}

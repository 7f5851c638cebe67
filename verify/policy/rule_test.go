package policy_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/policy"
)

func request() *http.Request {
	r := httptest.NewRequest("POST", "https://API.example.com:8443/orders/a%2Fb?x=1", nil)
	r.RemoteAddr = "192.0.2.7:4711"
	r.Header.Set("X-Tenant", "acme")
	r.Header["Accept"] = []string{"text/html", "text/plain"}
	return r
}

// A rule sees the claims and the request. What fails does not hold.
func TestRules(t *testing.T) {
	for text, want := range map[string]bool{
		`request.method == "POST" && claims.admin`:                                         true,
		`request.method in ["GET", "HEAD"]`:                                                false,
		`request.path == "/orders/a/b"`:                                                    true,
		`request.path.startsWith("/orders/" + claims.sub)`:                                 false,
		`request.host == "api.example.com"`:                                                true,
		`request.address == "192.0.2.7"`:                                                   true,
		`cidr("192.0.2.0/24").containsIP(request.address)`:                                 true,
		`cidr("10.0.0.0/8").containsIP(ip(request.address))`:                               false,
		`request.headers["x-tenant"] == "acme" && request.headers["X-Tenant"] == "acme"`:   true,
		`request.headers.accept == "text/html, text/plain"`:                                true,
		`request.headers["x-missing"] == "acme"`:                                           false,
		`request.headers["x-missing"] != "acme"`:                                           false,
		`!("x-missing" in request.headers) && "ACCEPT" in request.headers`:                 true,
		`has(request.headers.accept) && !has(request.headers.missing)`:                     true,
		`request.headers.exists(name, name == "x-tenant") && size(request.headers) == 2`:   true,
		`request.headers == {"x-tenant": "acme", "accept": "text/html, text/plain"}`:       true,
		`claims.missing == request.method`:                                                 false,
		`claims.groups.all(a, claims.groups.all(b, a + b != request.path))`:                true,
		`claims["kubernetes.io"].namespace == "shop" && request.headers["X-Tenant"] != ""`: true,
	} {
		rule, err := policy.NewRule(text, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		err = rule(request(), &verify.Token{Claims: github})
		if (err == nil) != want {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
		refusal, ok := errors.AsType[*verify.Error](err)
		if err != nil && (!ok || refusal.Status != 403 || refusal.Code != verify.AccessDenied || refusal.Scope == nil ||
			strings.ContainsAny(refusal.Description, `"=`) || !strings.Contains(refusal.Reason(), text)) {
			t.Errorf("%s: %#v", text, refusal)
		}
	}
}

// Subjects' policies do not see the request, and a rule sees no more of it than is said.
func TestRulesArePositioned(t *testing.T) {
	for text, want := range map[string]string{
		`request.mehtod == "GET"`:               "line 1, column ",
		`request == "GET"`:                      "undeclared reference to 'request'",
		`request.method == 1`:                   "no matching overload",
		`request.path`:                          "of the type string, and must be a bool",
		`request.path.matches("/orders")`:       `write '^(?:/orders)$'`,
		`request.path.matches(claims.sub)`:      "must be written here",
		"claims.admin &&\n request.headers.a.b": "line 2, column ",
	} {
		if _, err := policy.NewRule(text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{`request.method == "GET"`, `cidr("10.0.0.0/8").containsIP(claims.sub)`} {
		if _, err := policy.Compile(text); err == nil {
			t.Errorf("%s compiles as a condition over claims", text)
		}
	}
}

// The address is the one that the caller knows, which is not always the peer's.
func TestRuleAddress(t *testing.T) {
	for given, want := range map[string]string{"::ffff:198.51.100.1": "198.51.100.1", "fe80::1%eth0": "fe80::1", "": ""} {
		address, _ := netip.ParseAddr(given)
		rule, err := policy.NewRule(`request.address == "`+want+`"`, func(*http.Request) netip.Addr { return address })
		if err != nil {
			t.Fatal(err)
		}
		if err := rule(request(), &verify.Token{}); err != nil {
			t.Errorf("%q: %v", given, err)
		}
	}
}

// A request cannot make a rule run for long.
// A host with a dot at its end (RFC 1034 §3.1), in capital letters or with a port is that host.
func TestRuleOfAHost(t *testing.T) {
	rule, err := policy.NewRule(`request.host != "admin.example.com"`, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"admin.example.com", "admin.example.com.", "Admin.Example.com.:8443", "ADMIN.example.com:443"} {
		r := request()
		if r.Host = host; rule(r, &verify.Token{}) == nil {
			t.Errorf("%s is let in", host)
		}
	}
}

// What a client makes as long as it likes is counted, so that a run ends at the limit.
func TestRuleOfALongHeaderIsLimited(t *testing.T) {
	for _, text := range []string{`request.headers["X-A"].matches("^(a|b|ab)*z$")`, `request.path.contains(request.headers["X-A"])`} {
		rule, err := policy.NewRule(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := request()
		r.Header.Set("X-A", strings.Repeat("ab", 500<<10))
		r.URL.Path = strings.Repeat("/a", 500<<10)
		if err := rule(r, &verify.Token{}); err == nil || !strings.Contains(err.Error(), "cost limit") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestRuleCostIsLimited(t *testing.T) {
	rule, err := policy.NewRule(`request.path.split("").all(a, request.path.split("").all(b, a + b != "xx"))`, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := request()
	r.URL.Path = "/" + strings.Repeat("y", 5000)
	if err := rule(r, &verify.Token{}); err == nil || !strings.Contains(err.Error(), "cost limit") {
		t.Errorf("%v", err)
	}
}

func BenchmarkRule(b *testing.B) {
	rule, err := policy.NewRule(`claims.admin && request.method in ["GET", "POST"]`, nil)
	if err != nil {
		b.Fatal(err)
	}
	r, t := request(), &verify.Token{Claims: github}
	b.ReportAllocs()
	for b.Loop() {
		if err := rule(r, t); err != nil {
			b.Fatal(err)
		}
	}
}

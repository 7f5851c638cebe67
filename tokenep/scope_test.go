package tokenep_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ), one space between two of them.
func TestScope(t *testing.T) {
	asks := func(scope string) request { return post("grant_type", cc, "scope", scope).By("billing") }
	many := strings.TrimSpace(strings.Repeat("orders:read ", 300))
	f := tokeneptest.New(t)
	f.Run(t, []rule{
		refuses("3.3: a quote", asks(`orders:read "`), 400, tokenep.InvalidScope),
		refuses("3.3: a backslash", asks(`orders:read\`), 400, tokenep.InvalidScope),
		refuses("3.3: two spaces", asks("orders:read  invoices"), 400, tokenep.InvalidScope),
		refuses("3.3: a space in front", asks(" orders:read"), 400, tokenep.InvalidScope),
		refuses("3.3: a space behind", asks("orders:read "), 400, tokenep.InvalidScope),
		refuses("3.3: nothing but a space", asks(" "), 400, tokenep.InvalidScope),
		refuses("3.3: a tab", asks("orders:read\tinvoices"), 400, tokenep.InvalidScope),
		refuses("3.3: a line break", asks("orders:read\ninvoices"), 400, tokenep.InvalidScope),
		refuses("3.3: DEL", asks("orders:read\x7f"), 400, tokenep.InvalidScope),
		refuses("3.3: not ASCII", asks("örders:read"), 400, tokenep.InvalidScope),
		refuses("more scope-tokens than there can be", asks(many), 400, tokenep.InvalidScope),
		refuses("3.3: in other letters", asks("Orders:read"), 400, tokenep.InvalidScope),
		refuses("5.2: not the client's", asks("reports"), 400, tokenep.InvalidScope),
		refuses("5.2: one of them not the client's", asks("orders:read reports"), 400, tokenep.InvalidScope),
		refuses("5.2: of a client that has none", post("grant_type", cc, "scope", "x").By("headers"), 400, tokenep.InvalidScope),
		refuses("2.2.1: a wrong scope comes before a wrong target", post("grant_type", cc, "scope", "x", "audience", "x").By("billing"), 400, tokenep.InvalidScope),
	})
	for _, row := range []struct{ name, client, asked, got string }{
		{"3.3: one", "billing", "invoices", "invoices"},
		{"3.3: all", "billing", "orders:read orders:write invoices", "orders:read orders:write invoices"},
		{"3.3: the order does not matter", "billing", "invoices orders:read", "invoices orders:read"},
		{"3.3: twice is once", "billing", "invoices invoices", "invoices"},
		{"3.3: none, and the client has a default", "billing", "", "orders:read"},
		{"3.3: none, and the client's scope is the default", "reports", "", "reports"},
		{"a client without scope", "headers", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, token := f.Granted(t, post("grant_type", cc, "scope", row.asked).By(row.client))
			if scope, _ := a.JSON["scope"].(string); scope != row.got || token.Scope.String() != row.got {
				t.Errorf("the answer says scope %q, the token %q; want %q", scope, token.Scope, row.got)
			}
		})
	}
}

// RFC 8707 §2: resource is an absolute URI without a fragment. RFC 9068 §3: a token that was asked
// for no resource has a default audience.
func TestScopeTarget(t *testing.T) {
	asks := func(pairs ...string) request {
		return post(append([]string{"grant_type", cc}, pairs...)...).By("billing")
	}
	var many []string
	for range 33 {
		many = append(many, "resource", orders)
	}
	fragment := tokeneptest.NewClient("fragment", cc)
	fragment.Audience = []string{orders + "#a"}
	f := tokeneptest.New(t, tokeneptest.WithClients(fragment))
	f.Run(t, []rule{
		refuses("8707 2: not absolute", asks("resource", "orders"), 400, tokenep.InvalidTarget),
		refuses("8707 2: a path", asks("resource", "/orders"), 400, tokenep.InvalidTarget),
		refuses("8707 2: without a scheme", asks("resource", "//api.example/orders"), 400, tokenep.InvalidTarget),
		refuses("8707 2: a fragment", asks("resource", orders+"#a"), 400, tokenep.InvalidTarget),
		refuses("8707 2: an empty fragment", asks("resource", orders+"#"), 400, tokenep.InvalidTarget),
		refuses("8707 2: a fragment that is configured", post("grant_type", cc, "resource", orders+"#a").By("fragment"), 400, tokenep.InvalidTarget),
		grants("8693 2.1: as an audience it may have one", post("grant_type", cc, "audience", orders+"#a").By("fragment")),
		refuses("8707 2: no URI", asks("resource", "https://api.example/%zz"), 400, tokenep.InvalidTarget),
		refuses("8707 2: one of them not absolute", asks("resource", orders, "resource", "orders"), 400, tokenep.InvalidTarget),
		refuses("8707 2: unknown", asks("resource", "https://other.example/"), 400, tokenep.InvalidTarget),
		refuses("8707 2: with a slash", asks("resource", orders+"/"), 400, tokenep.InvalidTarget),
		refuses("8707 2: one of them unknown", asks("resource", orders, "resource", "https://other.example/"), 400, tokenep.InvalidTarget),
		refuses("8693 2.1: an unknown audience", asks("audience", "x"), 400, tokenep.InvalidTarget),
		refuses("8693 2.1: an audience that is the client's name", asks("audience", "billing"), 400, tokenep.InvalidTarget),
		refuses("8693 2.1: an unknown audience beside a resource", asks("audience", "x", "resource", orders), 400, tokenep.InvalidTarget),
		refuses("the issuer, where the client has targets of its own", asks("audience", issuer), 400, tokenep.InvalidTarget),
		refuses("more than anybody needs", asks(many...), 400, tokenep.InvalidTarget),
	})
	for _, row := range []struct {
		name    string
		request request
		want    []string
	}{
		{"9068 3: none, and the client has its own", asks(), []string{orders, invoices}},
		{"9068 3: none at all", post("grant_type", cc).By("reports"), []string{issuer}},
		{"8707 2: one resource", asks("resource", invoices), []string{invoices}},
		{"8707 2: several", asks("resource", invoices, "resource", orders), []string{invoices, orders}},
		{"8707 2: the same twice", asks("resource", orders, "resource", orders), []string{orders}},
		{"8693 2.1: an audience", asks("audience", orders), []string{orders}},
		{"8693 2.1: audience and resource", asks("resource", orders, "audience", invoices), []string{invoices, orders}},
		{"8693 2.1: the same as audience and as resource", asks("resource", orders, "audience", orders), []string{orders}},
		{"empty ones", asks("resource", "", "resource", orders, "audience", ""), []string{orders}},
		{"the default, asked for", post("grant_type", cc, "resource", issuer).By("reports"), []string{issuer}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, token := f.Granted(t, row.request); !slices.Equal(token.Audience, row.want) {
				t.Errorf("aud is %q, want %q", token.Audience, row.want)
			}
		})
	}
}

// RFC 3986 §6.2.3: a resource may be written in several ways, and the token has that of the
// client's registration. Everything else is compared byte by byte.
func TestScopeResourceForms(t *testing.T) {
	web := tokeneptest.NewClient("web", cc)
	web.Audience = []string{"https://api.example", "https://API.example:8443/v1?a=%7E", "http://u:P@legacy.example/", "urn:example:Orders", "https://two.example", "https://two.example/"}
	f := tokeneptest.New(t, tokeneptest.WithClients(web))
	for _, row := range []struct{ asked, want string }{
		{"https://api.example", "https://api.example"},
		{"https://api.example/", "https://api.example"},
		{"https://api.example:443", "https://api.example"},
		{"https://api.example:/", "https://api.example"},
		{"HTTPS://API.EXAMPLE:443/", "https://api.example"},
		{"https://api.example:8443/v1?a=%7E", "https://API.example:8443/v1?a=%7E"},
		{"http://u:P@LEGACY.example:80", "http://u:P@legacy.example/"},
		{"https://two.example", "https://two.example"},
		{"https://two.example/", "https://two.example/"},
		{"https://two.example:443/", "https://two.example"},
		{"http://api.example", ""},
		{"https://api.example:80", ""},
		{"https://api.example:8443", ""},
		{"https://api.example//", ""},
		{"https://api.example/v1", ""},
		{"https://api.example?", ""},
		{"https://u@api.example", ""},
		{"https://api.example:8443/v1/?a=%7E", ""},
		{"https://api.example:8443/V1?a=%7E", ""},
		{"https://api.example:8443/v1?a=~", ""},
		{"http://u:p@legacy.example/", ""},
		{"urn:example:orders", ""},
		{"https://api.example.", ""},
	} {
		r := post("grant_type", cc, "resource", row.asked).By("web")
		if row.want == "" {
			f.Run(t, []rule{refuses("8707 2: "+row.asked, r, 400, tokenep.InvalidTarget)})
		} else if _, token := f.Granted(t, r); !slices.Equal(token.Audience, []string{row.want}) {
			t.Errorf("%s: aud is %q, want %s", row.asked, token.Audience, row.want)
		}
	}
	// Two ways to write one resource are one aud; an audience is a name and no URI (RFC 8693 §2.1).
	_, token := f.Granted(t, post("grant_type", cc, "resource", "https://api.example/", "resource", "https://API.example").By("web"))
	if !slices.Equal(token.Audience, []string{"https://api.example"}) {
		t.Errorf("aud is %q", token.Audience)
	}
	f.Run(t, []rule{refuses("8693 2.1: another form", post("grant_type", cc, "audience", "https://api.example/").By("web"), 400, tokenep.InvalidTarget)})
}

// RFC 6749 §4.4.3, §5.1: the members of the answer. RFC 9068 §2: the header and the claims of the
// token.
func TestScopeResponse(t *testing.T) {
	f := tokeneptest.New(t)
	a, token := f.Granted(t, post("grant_type", cc).By("billing"))
	if got := a.Members(); !slices.Equal(got, []string{"access_token", "expires_in", "scope", "token_type"}) {
		t.Errorf("members: %q", got)
	}
	// An integer: four hours, less the part of a second that has passed.
	if !strings.Contains(string(a.Body), `"expires_in":14399`) {
		t.Errorf("expires_in is not 14399: %s", a.Body)
	}
	if token.Header.Type != "at+jwt" || token.Header.Algorithm != "ES256" || token.Header.KeyID == "" {
		t.Errorf("header: %+v", token.Header)
	}
	iat := tokeneptest.Start.Truncate(time.Second).Unix()
	for name, want := range map[string]any{
		"iss": issuer, "sub": "client:billing", "client_id": "billing", "aud": []any{orders, invoices}, "scope": "orders:read",
		"iat": number(iat), "exp": number(iat + 4*3600),
	} {
		if got := token.Claims[name]; !tokeneptest.EqualJSON(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`).MatchString(token.ID) {
		t.Errorf("jti is %q", token.ID)
	}
	if got := slices.Sorted(maps.Keys(token.Claims)); len(got) != 8 {
		t.Errorf("claims: %q", got)
	}
	if _, again := f.Granted(t, post("grant_type", cc).By("billing")); again.ID == token.ID {
		t.Error("two tokens have one jti")
	}
	if _, token := f.Granted(t, post("grant_type", cc).By("reports")); token.Claims["aud"] != issuer {
		t.Errorf("one audience is %v, want a string", token.Claims["aud"])
	}
	if _, token := f.Granted(t, post("grant_type", cc).By("headers")); token.Claims["scope"] != nil {
		t.Errorf("a token without scope has scope %v", token.Claims["scope"])
	}
	if a, _ := f.Granted(t, post("grant_type", cc).By("short")); a.JSON["expires_in"] != 89.0 {
		t.Errorf("a client with a life of its own gets %v", a.JSON["expires_in"])
	}
}

// A verifier that finds a token in the cache and one that verifies its signature say the same of
// it.
func TestScopeCachedToken(t *testing.T) {
	f := tokeneptest.New(t)
	handed := f.NewVerifier(t, func(c *verify.Config) { c.Cache = f.Config.Memory.Cache })
	subject := f.Mint(t, tokenep.Claims{Act: map[string]any{"sub": "a<b", "act": map[string]any{"sub": "é"}}})
	// The subject token is in the cache before, so that only new tokens are counted.
	if _, err := handed.Verify(t.Context(), verify.Presentation{Token: subject}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []request{
		post("grant_type", cc).By("billing"), post("grant_type", cc).By("headers"),
		post("grant_type", exchange, "subject_token", subject, "subject_token_type", accessToken).By("billing"),
	} {
		before := f.Config.Memory.Cache.Len()
		a, proven := f.Granted(t, r)
		if f.Config.Memory.Cache.Len() != before+1 {
			t.Fatal("the cache does not have the token")
		}
		cached, err := handed.Verify(t.Context(), verify.Presentation{Token: a.AccessToken()})
		if err != nil {
			t.Fatal(err)
		}
		if !tokeneptest.EqualJSON(cached, proven) {
			t.Errorf("cached: %+v\nproven: %+v", cached, proven)
		}
	}
}

func number(n int64) json.Number {
	text, _ := json.Marshal(n)
	return json.Number(text)
}

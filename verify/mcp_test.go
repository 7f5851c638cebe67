package verify_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

func b64(s string) string { return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?=" }

// Operations are ruled by the headers of revision 2026-07-28. What could be an operation that is
// not told, or told in two ways, is refused.
func TestMCP(t *testing.T) {
	issuer := newIssuer()
	guard := &verify.Guard{Verifier: issuer.Verifier(), Scope: verify.Scope{"mcp"},
		ScopeImplies: map[string]verify.Scope{"admin": {"write"}},
		MCP: &verify.MCP{
			Tools:   []verify.MCPScope{{"get_*", verify.Scope{"read"}}, {"*_order", verify.Scope{"orders"}}, {"löschen", verify.Scope{"write"}}, {"ping", nil}},
			Methods: []verify.MCPScope{{"resources/*", verify.Scope{"docs"}}},
		}}
	const now = "2026-07-28"
	for _, c := range []struct {
		name, method, scope string
		header              http.Header
		status              int
		challenge           verify.Scope
	}{
		{"list", "POST", "mcp", mcp(now, "tools/list", ""), 0, nil},
		{"a later revision", "POST", "mcp", mcp("2027-01-01", "tools/list", ""), 0, nil},
		{"a tool", "POST", "mcp read", mcp(now, "tools/call", "get_weather"), 0, nil},
		{"too little", "POST", "mcp", mcp(now, "tools/call", "get_weather"), 403, verify.Scope{"mcp", "read"}},
		{"two patterns", "POST", "mcp read orders", mcp(now, "tools/call", "get_order"), 0, nil},
		{"one of the two", "POST", "mcp read", mcp(now, "tools/call", "get_order"), 403, verify.Scope{"mcp", "read", "orders"}},
		{"without scope", "POST", "mcp", mcp(now, "tools/call", "ping"), 0, nil},
		{"implied", "POST", "mcp admin", mcp(now, "tools/call", b64("löschen")), 0, nil},
		{"encoded", "POST", "mcp", mcp(now, "tools/call", b64("löschen")), 403, verify.Scope{"mcp", "write"}},
		{"encoded without need", "POST", "mcp", mcp(now, "tools/call", b64("get_weather")), 403, verify.Scope{"mcp", "read"}},
		{"a tool without a rule", "POST", "mcp read write admin", mcp(now, "tools/call", "drop"), 403, verify.Scope{}},
		{"in another case", "POST", "mcp read", mcp(now, "tools/call", "GET_weather"), 403, verify.Scope{}},
		{"a method", "POST", "mcp", mcp(now, "resources/read", "file:///x"), 403, verify.Scope{"mcp", "docs"}},
		{"a stream", "GET", "mcp", http.Header{}, 0, nil},
		{"the end of a session", "DELETE", "mcp", http.Header{}, 0, nil},
		{"no name", "POST", "mcp read", mcp(now, "tools/call", ""), 400, nil},
		{"no method", "POST", "mcp read", mcp(now, "", "get_weather"), 400, nil},
		{"no revision", "POST", "mcp read", mcp("", "tools/call", "get_weather"), 400, nil},
		{"an older revision", "POST", "mcp read", mcp("2025-11-25", "tools/call", "get_weather"), 400, nil},
		{"junk for a revision", "POST", "mcp read", mcp("later", "tools/call", "get_weather"), 400, nil},
		{"another HTTP method", "PUT", "mcp read", http.Header{}, 400, nil},
		{"two names", "POST", "mcp read", http.Header{"Mcp-Protocol-Version": {now}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"get_a", "drop"}}, 400, nil},
		{"two methods", "POST", "mcp read", http.Header{"Mcp-Protocol-Version": {now}, "Mcp-Method": {"tools/list", "tools/call"}}, 400, nil},
		{"two revisions", "POST", "mcp read", http.Header{"Mcp-Protocol-Version": {now, "2025-11-25"}, "Mcp-Method": {"tools/list"}}, 400, nil},
		{"a method with a space", "POST", "mcp read", mcp(now, "tools/list,tools/call", ""), 400, nil},
		{"no base64", "POST", "mcp read", mcp(now, "tools/call", "=?base64?get_*?="), 400, nil},
		{"not canonical", "POST", "mcp read", mcp(now, "tools/call", "=?base64?Z2V0X2F=?="), 400, nil},
		{"without its end", "POST", "mcp read", mcp(now, "tools/call", "=?base64?Z2V0X2E="), 400, nil},
		{"in capitals", "POST", "mcp read", mcp(now, "tools/call", "=?BASE64?Z2V0X2E=?="), 400, nil},
		{"no UTF-8", "POST", "mcp read", mcp(now, "tools/call", b64("get_\xff")), 400, nil},
		{"a line feed", "POST", "mcp read", mcp(now, "tools/call", b64("get_\n")), 400, nil},
		{"raw UTF-8", "POST", "mcp write", mcp(now, "tools/call", "löschen"), 400, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "/mcp", nil)
			r.Header = c.header.Clone()
			issuer.Authorize(r, verifytest.Claims{"scope": c.scope})
			_, err := guard.Admit(r)
			refusal, _ := errors.AsType[*verify.Error](err)
			switch {
			case c.status == 0 && err == nil:
			case c.status == 0, err == nil, refusal.Status != c.status:
				t.Errorf("%v, want %d", err, c.status)
			case c.challenge != nil && !slices.Equal(refusal.Scope, c.challenge):
				t.Errorf("the challenge asks for %q, want %q", refusal.Scope, c.challenge)
			}
		})
	}
	if got := guard.Metadata().ScopesSupported; !slices.Equal(got, []string{"mcp", "docs", "read", "orders", "write"}) {
		t.Errorf("scopes_supported %q", got)
	}
}

// An upstream finds the operation nowhere but where it was ruled by.
func TestMCPHeadersHaveOneSpelling(t *testing.T) {
	f := newFront(t, newIssuer(), &verify.Guard{MCP: &verify.MCP{Tools: []verify.MCPScope{{Pattern: "get"}}}})
	s := f.raw(t, "POST /mcp HTTP/1.1\nHost: h\nAuthorization: Bearer TOKEN\nMCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: get\n"+
		"Mcp_Name: drop\nmcp.method: x\nConnection: close, Mcp-Name\nX-HTTP-Method-Override: PUT\nTransfer-Encoding: chunked\n\n0\nMcp-Name: drop\n\n").seen(t)
	want := http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"get"}}
	got := http.Header{}
	for name, values := range s.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "mcp") || strings.Contains(lower, "override") {
			got[name] = values
		}
	}
	if !reflect.DeepEqual(got, want) || len(s.Trailer) > 0 {
		t.Errorf("%v, %v", got, s.Trailer)
	}
}

func mcp(version, method, name string) http.Header {
	h := http.Header{}
	for header, value := range map[string]string{"Mcp-Protocol-Version": version, "Mcp-Method": method, "Mcp-Name": name} {
		if value != "" {
			h[header] = []string{value}
		}
	}
	return h
}

// A pattern is a name, with * for any characters.
func TestMCPPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		matches       bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"*", "anything/at all", true}, {"a*", "a", true}, {"a*", "ba", false}, {"*a", "ba", true},
		{"a*a", "a", false}, {"a*a", "aa", true}, {"a*b*c", "a-b-c", true}, {"a*b*c", "ac", false}, {"a*b*c", "abbc", true}, {"a**c", "ac", true}, {"?", "a", false}, {"[a]", "a", false},
	} {
		issuer := newIssuer()
		guard := &verify.Guard{Verifier: issuer.Verifier(), MCP: &verify.MCP{Tools: []verify.MCPScope{{Pattern: c.pattern}}}}
		r := httptest.NewRequest("POST", "/mcp", nil)
		r.Header = mcp("2026-07-28", "tools/call", c.name)
		issuer.Authorize(r, nil)
		if _, err := guard.Admit(r); (err == nil) != c.matches {
			t.Errorf("%q for %q: %v", c.pattern, c.name, err)
		}
	}
	for name, wrong := range map[string]*verify.MCP{
		"empty":          {Tools: []verify.MCPScope{{}}},
		"twice":          {Methods: []verify.MCPScope{{Pattern: "a"}, {Pattern: "a"}}},
		"no scope-token": {Tools: []verify.MCPScope{{"a", verify.Scope{"a b"}}}},
		"offline_access": {Tools: []verify.MCPScope{{"a", verify.Scope{"offline_access"}}}},
	} {
		if (&verify.Guard{Verifier: newIssuer().Verifier(), MCP: wrong}).Validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// FuzzMCPName: a value has one meaning. What is plain is itself, what is encoded is what another
// decoder makes of it, and neither has control characters.
func FuzzMCPName(f *testing.F) {
	for _, seed := range []string{"get_weather", b64("löschen"), b64(b64("a")), "=?base64??=", "=?base64?YQ=?=", "=?base64?YQ==?=", " a", "=?", "=?base64?", "=?base64?=", "a\x00", "ä"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		name, ok := verify.DecodeMCPName(value)
		if again, fits := verify.DecodeMCPName(b64(value)); fits && again != value {
			t.Fatalf("%q is %q once it was encoded", value, again)
		}
		if !ok {
			return
		}
		if name == "" || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			t.Fatalf("%q is %q", value, name)
		}
		if name != value && b64(name) != value {
			t.Fatalf("%q is %q, which is written %q", value, name, b64(name))
		}
	})
}

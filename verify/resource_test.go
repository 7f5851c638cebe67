package verify_test

import (
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 9728 §3.1: the well-known path is inserted between host and path.
func TestMetadataURL(t *testing.T) {
	const wellKnown = "/.well-known/oauth-protected-resource"
	for resource, want := range map[string]string{
		"https://api.example.com":            "https://api.example.com" + wellKnown,
		"https://api.example.com/":           "https://api.example.com" + wellKnown,
		"https://api.example.com/orders":     "https://api.example.com" + wellKnown + "/orders",
		"https://api.example.com/orders/":    "https://api.example.com" + wellKnown + "/orders/",
		"https://api.example.com:8443/a%2Fb": "https://api.example.com:8443" + wellKnown + "/a%2Fb",
		"http://127.0.0.1:8080/mcp":          "http://127.0.0.1:8080" + wellKnown + "/mcp",
		"http://api.example.com/orders":      "",
		"https://api.example.com/orders?x":   "",
		"https://api.example.com/orders?":    "",
		"https://api.example.com/orders#x":   "",
		"https://u@api.example.com":          "",
		"api.example.com/orders":             "",
		"urn:example:orders":                 "",
		"":                                   "",
	} {
		got, err := verify.MetadataURL(resource)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%s: %v, %v, want %s", resource, got, err, want)
		}
	}
}

// RFC 9728 §2 and §5.1: the challenge leads to the document, which says what the guard takes.
func TestResourceMetadata(t *testing.T) {
	issuer := newIssuer()
	guard := &verify.Guard{Verifier: issuer.Verifier(), Scope: verify.Scope{"read"}, AnyScope: verify.Scope{"eu", "us"},
		Resource: "https://api.example.com/orders", FormToken: true}
	r := httptest.NewRequest("GET", "/", nil)
	_, err := guard.Admit(r)
	w := httptest.NewRecorder()
	guard.WriteRefusal(w.Header(), err)
	if got, want := w.Header().Get("WWW-Authenticate"), `Bearer realm="api", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/orders", scope="read eu us"`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	metadata := guard.Metadata("https://issuer.example")
	metadata.Add((&verify.Guard{Verifier: issuer.Verifier(), Scope: verify.Scope{"write", "read"}, InsecureQueryToken: true}).Metadata("https://issuer.example", "https://other.example"))
	w = httptest.NewRecorder()
	metadata.ServeHTTP(w, httptest.NewRequest("GET", "/?x=1", nil))
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{
		"resource":                 "https://api.example.com/orders",
		"authorization_servers":    []any{"https://issuer.example", "https://other.example"},
		"scopes_supported":         []any{"read", "eu", "us", "write"},
		"bearer_methods_supported": []any{"header", "body", "query"},
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	for method, status := range map[string]int{"HEAD": 200, "OPTIONS": 204, "POST": 405} {
		w := httptest.NewRecorder()
		metadata.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
		if w.Code != status || w.Header().Get("Access-Control-Allow-Origin") != "*" || (status == 405) != (w.Header().Get("Allow") != "" && method != "OPTIONS") {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
		if method == "OPTIONS" && !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "MCP-Protocol-Version") {
			t.Errorf("%v", w.Header())
		}
	}
	for _, wrong := range []*verify.Guard{{Resource: "http://api.example.com"}, {Scope: verify.Scope{"offline_access"}}} {
		if wrong.Verifier = issuer.Verifier(); wrong.Validate() == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
}

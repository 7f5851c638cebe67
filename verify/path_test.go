package verify_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 3986 §3.3 and §5.2.4: a path that some upstream takes for another one is refused, with a
// token or without one.
func TestGuardAmbiguousPath(t *testing.T) {
	issuer := newIssuer()
	strict := newFront(t, issuer, &verify.Guard{Optional: true, Preflight: true})
	loose := newFront(t, issuer, &verify.Guard{Optional: true, InsecureAnyPath: true})
	for path, good := range map[string]bool{
		"/catalog/../orders": false, "/catalog/./orders": false, "/..": false, "/.": false, "/a/..": false, "/a/.": false,
		"/catalog/%2e%2e/orders": false, "/catalog/%2E./orders": false, "/catalog/.%2e/orders": false, "/%2e": false,
		"/catalog/..;/orders": false, "/catalog/..;a=b/orders": false, "/catalog/..;a;b/orders": false, "/catalog/.;/orders": false,
		"/catalog/..%3b/orders": false, "/catalog/%2e%2e%3Ba/orders": false,
		"/catalog/..%5corders": false, "/catalog/..%5Corders": false, `/catalog/..\orders`: false, `/catalog\..\orders`: false,
		"/catalog%5corders": false, "/catalog%255corders": false,
		"/catalog/..%2forders": false, "/catalog%2f..%2forders": false, "/catalog%2F%2e%2e%2Forders": false,
		"/catalog/%252e%252e/orders": false, "/catalog/..%252forders": false, "/catalog/%25252e%25252e/orders": false, "/catalog/%252e%2e%253b/orders": false,
		"/a/%2525252525252e": false,
		"/orders%00.png":     false, "/orders%2500": false, "/%00": false, "/a%c0%80": false,
		"/catalog/%c0%ae%c0%ae/orders": false, "/catalog/..%c0%aforders": false, "/catalog/..%c1%9corders": false, "/catalog/%e0%80%ae./orders": false,
		"/catalog/%ef%bc%8e%ef%bc%8e/orders": false, "/catalog/..%ef%bc%8forders": false, "/catalog/%e2%80%a5/orders": false,
		"/catalog/..%20/orders": false, "/catalog/..%09/orders": false,
		"/catalog/%25u002e%25u002e/orders": false, "/catalog/%25U002E./orders": false, "/catalog/%25uff0e./orders": false, "/catalog/..%25u2215orders": false,
		"/catalog/..%25u005corders": false, "/catalog/%2525u002e./orders": false, "/a%25u0000": false,
		"/catalog/%c0%2e%c0%2e/orders": false, "/catalog/.%c0%2e/orders": false, "/catalog/..%c0%2forders": false, "/catalog/%e0%40%ae%e0%40%ae/orders": false,
		"/catalog/..%c1%1corders": false, "/catalog/%f0%80%80%ae./orders": false, "/catalog/..%f0%80%81%9corders": false, "/catalog/..%e0%80%aforders": false,
		"/catalog/%ef%b9%92%ef%b9%92/orders": false, "/catalog/..%ef%b9%a8orders": false,
		"/catalog/..%0a/orders": false, "/catalog/..%0d/orders": false, "/catalog/..%c2%a0/orders": false, "/catalog/%20../orders": false,
		"/catalog/%c2%a0../orders": false, "/catalog/%09./orders": false, "/catalog/..%7f/orders": false, "/catalog/%7f../orders": false,
		"/catalog/.%0a./orders": false, "/catalog/.%e2%80%8b./orders": false, "/catalog/..%a0/orders": false, "/catalog/%2520../orders": false,

		"/;/orders": false, "/;x/orders": false, "/%3b/orders": false, "/a/%253bx/orders": false, "/%20;/orders": false,

		"/orders": true, "/": true, "/orders/": true, "/a//b": true, "/%2fx/orders": true, "/a%2fb": true, "/a%2Fb%2fc": true, "/a%252fb": true,
		"/.well-known/x": true, "/a/.b": true, "/a/..b": true, "/a/b..": true, "/a/b./c": true, "/a/...": true, "/a/.../b": true, "/a.b/c..d": true,
		"/a;b/c": true, "/a;/b": true, "/a;x=../b": true, "/a/b;v=1.2": true, "/100%25": true, "/a%25b": true, "/%25zz": true, "/a%20b": true,
		"/caf%C3%A9": true, "/%E4%BD%A0": true, "/caf%E9": true, "/a?b=../..": true, "/a?b=%00": true, "/a%3Fb": true, "/a%25252fb": true,
		"/a%25u00e9": true, "/%25u20": true, "/%25u": true, "/%25ux00e": true, "/%c3%a0.": true, "/%e0%a4%85./a": true, "/%f0%9f%98%80./a": true,
		"/%20a../b": true, "/a%0ab": true, "/a%c2%a0b.": true, "/a%c0": true, "/a%e0%80": true, "/%20/b": true,
	} {
		for _, lines := range []string{"", "Authorization: Bearer TOKEN\n", "Authorization: Bearer x\n"} {
			got := strict.raw(t, "GET "+path+" HTTP/1.1\nHost: x\n"+lines+"\n")
			switch {
			case !good:
				got.refused(t, 400, verify.InvalidRequest)
			case strings.Contains(lines, "Bearer x"):
				got.refused(t, 401, verify.InvalidToken)
			default:
				if uri := got.seen(t).URI; uri != path {
					t.Errorf("upstream got %s, want %s", uri, path)
				}
			}
		}
		if got := loose.raw(t, "GET "+path+" HTTP/1.1\nHost: x\n\n"); got.StatusCode != 200 {
			t.Errorf("%s, with InsecureAnyPath: status %d", path, got.StatusCode)
		}
	}
	preflight := "OPTIONS /a/..;/b HTTP/1.1\nHost: x\nOrigin: https://x.example\nAccess-Control-Request-Method: GET\n\n"
	strict.raw(t, preflight).refused(t, 400, verify.InvalidRequest)
	if got := strict.raw(t, "OPTIONS * HTTP/1.1\nHost: x\n\n"); got.StatusCode == 400 {
		t.Error("OPTIONS * was refused")
	}
}

// RFC 9112 §3.2: a target without a path, or with one that does not begin with one slash, is
// another one to the upstream than to whoever chose the route.
func TestGuardTargets(t *testing.T) {
	issuer := newIssuer()
	received := func(r *http.Request) (string, *url.URL) { return r.Method, r.URL }
	for name, guard := range map[string]*verify.Guard{
		"as it is":             {Optional: true},
		"as it was received":   {Optional: true, Received: received},
		"with InsecureAnyPath": {Optional: true, InsecureAnyPath: true},
	} {
		f := newFront(t, issuer, guard)
		for target, want := range map[string]string{ // what the upstream gets; "": it is refused
			"/orders": "/orders", "http://x/orders": "/orders", "x://x/orders": "/orders", "http:/orders": "/orders", "/?a=//b": "/?a=//b",
			"http://x": "", "http://x?a=/orders": "", "http:?a": "", "*": "", "x:orders": "", "x:%2forders": "", `x:\orders`: "", "x:../orders": "",
			"//x/orders": "", "//orders": "", "///orders": "", "http://x//orders": "",
		} {
			for _, lines := range []string{"", "Authorization: Bearer TOKEN\n"} {
				got := f.raw(t, "GET "+target+" HTTP/1.1\nHost: x\n"+lines+"\n")
				switch {
				case guard.InsecureAnyPath && got.StatusCode == 400 && strings.Contains(got.body, "one slash"):
					t.Errorf("%s: %s is refused", name, target)
				case guard.InsecureAnyPath:
				case want == "":
					got.refused(t, 400, verify.InvalidRequest)
				case got.seen(t).URI != want:
					t.Errorf("%s: of %s the upstream got %s", name, target, got.seen(t).URI)
				}
			}
		}
		stripped := newServer(t, http.StripPrefix("/api", guard.Handler(http.HandlerFunc(echo))))
		if got := rawTo(t, stripped.Listener.Addr().String(), "GET /api HTTP/1.1\r\nHost: x\r\n\r\n"); guard.Received == nil && got.StatusCode != 200 {
			t.Errorf("%s: what is left of a path is refused: %s", name, got.body)
		}
	}
}

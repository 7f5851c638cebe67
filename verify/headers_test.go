package verify

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

// RFC 3875 §4.1.18: names that an upstream may read as one are one.
func TestProtectedNames(t *testing.T) {
	p := mustProtect("X-User-Id")
	for _, name := range []string{"X-User-Id", "x-user-ID", "X_User_Id", "X.User.Id", "X-User-Id ", " X-User-Id", "X User Id",
		"X_User-Id", "X--User-Id", "XUserId", "X-User-Id_", "_X-User-Id", "X!User~Id", "HTTP"} {
		if want := name != "HTTP"; p.has(name) != want {
			t.Errorf("%q: protected is %t, want %t", name, !want, want)
		}
	}
	for _, name := range []string{"", "-", "X-User", "X-User-Id2", "X-User-Ids", "User-Id", strings.Repeat("X-User-Id", 40)} {
		if p.has(name) {
			t.Errorf("%q is protected", name)
		}
	}
}

func TestProtectedNamesAllocateNothing(t *testing.T) {
	p := mustProtect("X-User-Id", "X-Scope", "Authorization")
	r := httptest.NewRequest("GET", "/", nil)
	r.Body = nil
	for _, name := range []string{"Accept", "User-Agent", "X-Request-Id", "Cookie", "Connection"} {
		r.Header.Set(name, "keep-alive")
	}
	if n := testing.AllocsPerRun(100, func() { p.strip(r, []string{"Authorization"}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// RFC 9110 §7.6.1 and RFC 7540 §3.2.1: what belongs to one connection.
func TestConnectionAndUpgrade(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want http.Header
	}{
		{"protected name", http.Header{"Connection": {"close, x_user_id"}}, http.Header{"Connection": {"close"}}},
		{"protected name alone", http.Header{"Connection": {"X-User-Id"}}, http.Header{}},
		{"Authorization", http.Header{"Connection": {"Authorization", "keep-alive"}}, http.Header{"Connection": {"keep-alive"}}},
		{"other names stay as they are", http.Header{"Connection": {"close,TE"}}, http.Header{"Connection": {"close,TE"}}},
		{"h2c", http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMA"}}, http.Header{}},
		{"h2c in capitals and in a list", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket, H2C"}},
			http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}},
		{"h2c with a version, on a second line", http.Header{"Connection": {"upgrade"}, "Upgrade": {"foo/2", "h2c/1"}},
			http.Header{"Connection": {"upgrade"}, "Upgrade": {"foo/2"}}},
		{"settings without upgrade", http.Header{"Http2-Settings": {"AAMA"}, "Http2_settings": {"AAMA"}}, http.Header{}},
		{"websocket", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}},
			http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}},
		{"RFC 9110 §6.6.2 announced trailers", http.Header{"Trailer": {"X_User_Id, Digest"}}, http.Header{"Trailer": {"Digest"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{Header: c.in}
			mustProtect("X-User-Id", "Authorization", "HTTP2-Settings").strip(r, []string{"Authorization"})
			if !reflect.DeepEqual(r.Header, c.want) {
				t.Errorf("got %v, want %v", r.Header, c.want)
			}
		})
	}
}

// A name that folds to a protected one is removed, whichever of the usual foldings an upstream
// uses.
func FuzzFold(f *testing.F) {
	for _, name := range []string{"X-User-Id", "x_user.ID", "X-User-Id ", "Accept", "X--User_Id", "\u212aX-User-Id"} {
		f.Add("X-User-Id", name)
	}
	readings := []*strings.Replacer{
		strings.NewReplacer("-", "_", ".", "_", " ", "_"),
		strings.NewReplacer("-", "", "_", "", ".", "", " ", ""),
		strings.NewReplacer("-", "_"),
	}
	f.Fuzz(func(t *testing.T, guarded, name string) {
		var p protected
		if p.add(guarded) != nil {
			return
		}
		r := &http.Request{Header: http.Header{name: {"x"}}, Trailer: http.Header{name: {"x"}}}
		p.strip(r, []string{"Authorization"})
		_, header := r.Header[name]
		_, trailer := r.Trailer[name]
		if name == "Authorization" {
			return
		}
		for _, reading := range readings {
			same := strings.EqualFold(strings.TrimSpace(reading.Replace(name)), reading.Replace(guarded)) && isASCII(name)
			if same && (header || trailer) {
				t.Fatalf("%q survived although %q is protected", name, guarded)
			}
		}
		if fold(name) != fold(guarded) && (!header || !trailer) {
			t.Fatalf("%q was removed although only %q is protected", name, guarded)
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c >= 0x80 })
}

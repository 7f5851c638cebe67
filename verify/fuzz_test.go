package verify_test

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// plain reads an object as encoding/json does, with all the digits of its numbers: one that no
// float64 can hold is as good as another.
func plain(text string) (object map[string]any, err error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return object, decoder.Decode(&object)
}

// parts returns the header and the payload of a JWT that was accepted.
func parts(t *testing.T, jwt string) (header, payload map[string]any) {
	t.Helper()
	for i, into := range []*map[string]any{&header, &payload} {
		text, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[i])
		if err != nil {
			t.Fatalf("%q: accepted, and %v", jwt, err)
		}
		if *into, err = plain(string(text)); err != nil {
			t.Fatalf("%q: accepted, but encoding/json says %v", jwt, err)
		}
	}
	return header, payload
}

// FuzzCompact: a token that is accepted is, byte for byte, one that was signed. The input is an
// edit of a good token, since each fuzzing process has keys of its own; an edit may replace all of
// it. (The one other spelling, n-s for the s of an ECDSA signature, is not found by edits.)
func FuzzCompact(f *testing.F) {
	issuer := verifytest.New(testIssuer, testAPI, "ES256", "EdDSA")
	issuer.Now = newClock().Now
	good := []string{issuer.Sign(nil), issuer.Sign(nil, verifytest.Algorithm("EdDSA"))}
	withCache := newVerifier(f, issuer, func(c *verify.Config) { c.Cache = verify.NewCache(100, issuer.Now) })
	plain := issuer.Verifier()

	const all = 1 << 15
	end := uint16(len(good[0]))
	for _, edit := range []struct {
		at, cut uint16
		insert  string
	}{
		{0, 0, ""}, {end, 0, "="}, {end, 0, "."}, {end, 0, "\n"}, {end - 1, 1, "B"}, {0, 0, "."}, {20, 0, "\r\n"}, {10, 1, "+"}, {end - 86, 86, ""},
		{0, all, ""}, {0, all, ".."}, {0, all, "a.b.c.d.e"}, {0, all, encode(`{"alg":"none"}`) + "." + encode(`{"sub":"a"}`) + "."},
		{0, all, encode(`{"alg":"ES256","kid":"ES256","typ":"at+jwt","crit":["x"]}`) + ".e30.AAAA"}, {0, all, `{"payload":"e30"}`},
	} {
		f.Add(edit.at, edit.cut, edit.insert)
	}
	f.Fuzz(func(t *testing.T, at, cut uint16, insert string) {
		for _, honest := range good {
			from := min(int(at), len(honest))
			raw := honest[:from] + insert + honest[min(from+int(cut), len(honest)):]
			for _, v := range []*verify.Verifier{plain, withCache, withCache} {
				if _, err := v.Verify(t.Context(), verify.Presentation{Token: raw}); (err == nil) != (raw == honest) {
					t.Fatalf("%q, made of %q: %v", raw, honest, err)
				}
			}
			plain.Inspect(t.Context(), verify.Presentation{Token: raw})
		}
	})
}

// FuzzJSON: what the strict reader accepts, encoding/json accepts too, with the same meaning.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1}`, `{"a":[1,-2.5e3,true,false,null,"x",{}]}`, `{"a":"\u00e9\ud83e\udd8a\n"}`, `{"a":1,"a":2}`,
		`{"a":01}`, `{"a":"\ud800"}`, "\ufeff{}", `{"a":1}x`, "{\"a\":\"\x00\"}", ` { "a" : [ ] } `, `{"a":"\u+041"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := verify.ParseObject(text)
		if err != nil {
			return
		}
		want, err := plain(text)
		if err != nil || !json.Valid([]byte(text)) {
			t.Fatalf("%q: taken, but encoding/json says %v", text, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %v, encoding/json says %v", text, got, want)
		}
	})
}

// FuzzKeySet: a key that is accepted is for exactly one algorithm, and a set that is accepted has
// no secret.
func FuzzKeySet(f *testing.F) {
	for _, seed := range []string{
		`{"keys":[]}`, `{"keys":[{` + p256Point + `}]}`, `{"keys":[{` + ed25519X + `,"kid":"a"}]}`, `{"keys":[{` + rsaMembers(2048) + `,"alg":"PS256"}]}`,
		`{"keys":[{"kty":"oct","k":"AAAA"}]}`, `{"keys":[{` + p256Point + `,"n":1e999}]}`, `{"keys":[{` + p256Point + `,"d":"AAAA"}]}`, `{"keys":[{"kty":"EC","crv":"P-521","x":"","y":1}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, dropped, err := verify.ParseKeySet(text)
		if err != nil {
			return
		}
		if keys.Len() == 1 && strings.Contains(boundTo(t, keys), " ") {
			t.Fatalf("%q: one key for %s", text, boundTo(t, keys))
		}
		set, err := plain(string(text)) // a struct would read KEYS as keys
		if err != nil {
			return // it takes no byte order mark, and no control character anywhere
		}
		list, _ := set["keys"].([]any)
		if len(list) != keys.Len()+len(dropped) {
			t.Fatalf("%q: %d keys and %d dropped, of %d", text, keys.Len(), len(dropped), len(list))
		}
		for _, member := range list {
			key, _ := member.(map[string]any)
			if _, secret := key["d"]; secret || key["kty"] == "oct" {
				t.Fatalf("%q: holds a secret", text)
			}
		}
	})
}

// FuzzShownURL: any text can be shown, and of what stands before an "@" or behind a "?" nothing is.
func FuzzShownURL(f *testing.F) {
	for _, seed := range []string{
		"https://idp.example/jwks?a=b#c", "https://u:p@h/", "//u@h", "https:/u:p@h", "https//u:p@h", "u:p@h", "HTTP://{env.U}:{env.P}@h",
		"https://u:1/p@h", "https://u:1?p@h", "https:u@h", "{a@b}", "https://{a/b@c}?{d}", "http://[::1]:1/@", "://@", "https://@?#",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		shown := verify.ShownURL(text)
		if shown == "…" {
			return
		}
		public := text
		if at := strings.LastIndexByte(text, '@'); at >= 0 {
			scheme, rest, _ := strings.Cut(shown, "://…")
			if scheme = strings.ToLower(scheme); scheme != "https" && scheme != "http" {
				t.Fatalf("%q is shown as %q", text, shown)
			}
			shown, public = rest, text[at:]
		}
		if !strings.HasPrefix(public, strings.TrimSuffix(shown, "…")) || shown != public && strings.ContainsAny(strings.TrimRight(shown, "?#…"), "?#") {
			t.Fatalf("%q is shown as %q", text, verify.ShownURL(text))
		}
	})
}

package verify_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// FuzzSignedIntrospection: a signed answer that is opened is, byte for byte, what the issuer has
// signed; it is typed as one, and is from the issuer, for this client and of now; and it says what
// encoding/json says that it does (RFC 9701 §5).
func FuzzSignedIntrospection(f *testing.F) {
	issuer := verifytest.New(testIssuer, testAPI)
	now := newClock().Now()
	issuer.Now = func() time.Time { return now }
	rules := verify.SignedIntrospection{Issuer: testIssuer, Audience: "orders", Keys: issuer.KeySet(), MaxAge: time.Minute, Now: now}
	const header = `{"alg":"ES256","kid":"ES256","typ":"token-introspection+jwt"}`
	payload := func(members string) string {
		return `{"iss":"` + testIssuer + `","aud":"orders","iat":` + string(must(json.Marshal(now.Unix()))) + members + `}`
	}
	good := payload(`,"token_introspection":{"active":true,"sub":"ada"}`)
	for _, seed := range []struct{ header, payload, edit string }{
		{header, good, ""},
		{header, payload(`,"token_introspection":{"active":false},"exp":1`), ""},
		{header, payload(`,"token_introspection":"x"`), ""},
		{header, payload(`,"token_introspection":{},"token_introspection":{}`), ""},
		{header, strings.Replace(good, `"orders"`, `["orders","shop"]`, 1), ""},
		{header, strings.Replace(good, `"iat":`, `"iat":-`, 1), ""},
		{strings.Replace(header, "token-introspection", "at", 1), good, ""},
		{strings.Replace(header, `"typ"`, `"crit":["x"],"typ"`, 1), good, ""},
		{strings.Replace(header, "ES256", "none", 1), good, ""},
		{header, good, "="}, {header, good, ".AAAA"}, {"", "", ""}, {"{}", "{}", "\n"},
	} {
		f.Add(seed.header, seed.payload, seed.edit)
	}
	f.Fuzz(func(t *testing.T, header, payload, edit string) {
		signed := issuer.Sign(nil, verifytest.RawHeader(header), verifytest.RawPayload(payload))
		said, err := rules.Open(t.Context(), signed+edit)
		if err != nil {
			if header+edit == "" && payload == good {
				t.Fatal(err)
			}
			return
		}
		if edit != "" {
			t.Fatalf("opened with %q at its end", edit)
		}
		head, claims := parts(t, signed)
		typ, _ := head["typ"].(string)
		audience := claims["aud"]
		issued, _ := claims["iat"].(json.Number)
		at, err := issued.Float64()
		switch {
		case !slices.Contains([]string{"token-introspection+jwt", "application/token-introspection+jwt"}, strings.ToLower(typ)):
			t.Fatalf("opened with typ %q", typ)
		case claims["iss"] != testIssuer, audience != "orders" && !reflect.DeepEqual(audience, []any{"orders"}):
			t.Fatalf("opened of %v for %v", claims["iss"], audience)
		case err != nil || time.Duration((at-float64(now.Unix()))*float64(time.Second)).Abs() > time.Minute+time.Second:
			t.Fatalf("opened of %s", issued)
		case !reflect.DeepEqual(said, claims["token_introspection"]):
			t.Fatalf("%v, encoding/json says %v", said, claims["token_introspection"])
		}
	})
}

func must(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}

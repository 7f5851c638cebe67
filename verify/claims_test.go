package verify_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// payloadWith returns a payload that is good at the time of newClock, plus members.
func payloadWith(members string) verifytest.Option {
	return verifytest.RawPayload(`{"iss":"` + testIssuer + `","aud":"` + testAPI + `",` + members + `}`)
}

// Claims: RFC 7519 §4.1, RFC 9068 §2.2 and §4. The clock stands at 1800000000, the leeway is 30 s.
func TestClaims(t *testing.T) {
	const (
		now    = 1_800_000_000
		leeway = 30
		bad    = verify.InvalidToken
	)
	type claims = verifytest.Claims
	number := func(text string) json.Number { return json.Number(text) }
	tests := []struct {
		name   string
		claims claims
		want   string
	}{
		{"as they come", nil, "ok"},
		{"only what is required", claims{"client_id": nil, "iat": nil, "jti": nil}, "ok"},

		{"RFC 7519 §4.1.4 expired by leeway and a second", claims{"iat": nil, "exp": now - leeway - 1}, bad},
		{"RFC 7519 §4.1.4 expired by exactly the leeway", claims{"iat": nil, "exp": now - leeway}, bad},
		{"RFC 7519 §4.1.4 expired by less than the leeway", claims{"iat": nil, "exp": now - leeway + 1}, "ok"},
		{"exp missing", claims{"exp": nil}, bad},
		{"RFC 7519 §4.1.4 exp a string", claims{"exp": "9999999999"}, bad},
		{"RFC 7519 §4.1.4 exp true", claims{"exp": true}, bad},
		{"RFC 7519 §4.1.4 exp a list", claims{"exp": []any{}}, bad},
		{"RFC 7519 §4.1.4 exp an object", claims{"exp": claims{}}, bad},
		{"RFC 7519 §2 exp with a fraction", claims{"exp": number("1800000100.5")}, "ok"},
		{"RFC 7519 §2 exp with an exponent", claims{"exp": number("1e10")}, "ok"},
		{"RFC 7519 §2 exp rounded down", claims{"iat": nil, "exp": number("1799999970.9999999999")}, bad},
		{"exp after the year 9999", claims{"exp": number("253402300800")}, bad},
		{"exp beyond int64", claims{"exp": number("9223372036854775808")}, bad},
		{"exp beyond float64", claims{"exp": number("1e999")}, bad},
		{"exp negative", claims{"iat": nil, "exp": -1}, bad},
		{"exp zero", claims{"iat": nil, "exp": 0}, bad},

		{"RFC 7519 §4.1.5 nbf beyond leeway", claims{"nbf": now + leeway + 1}, bad},
		{"RFC 7519 §4.1.5 nbf at the leeway", claims{"nbf": now + leeway}, "ok"},
		{"RFC 7519 §4.1.5 nbf a string", claims{"nbf": "1"}, bad},
		{"nbf long ago", claims{"nbf": number("-1.5e3")}, "ok"},
		{"RFC 7519 §4.1.6 iat beyond leeway", claims{"iat": now + leeway + 1}, bad},
		{"RFC 7519 §4.1.6 iat at the leeway", claims{"iat": now + leeway}, "ok"},
		{"RFC 7519 §4.1.6 iat and exp at once", claims{"iat": now + 10, "exp": now + 10}, "ok"},
		{"RFC 7519 §4.1.6 iat after exp", claims{"iat": now + 20, "exp": now + 10}, bad},
		{"RFC 7519 §4.1.6 iat a string", claims{"iat": "1"}, bad},

		{"iss missing", claims{"iss": nil}, bad},
		{"iss another", claims{"iss": "https://other.example"}, bad},
		{"iss with a slash more", claims{"iss": testIssuer + "/"}, bad},
		{"iss in upper case", claims{"iss": strings.ToUpper(testIssuer)}, bad},
		{"iss a list", claims{"iss": []string{testIssuer}}, bad},
		{"iss empty", claims{"iss": ""}, bad},

		{"RFC 7519 §4.1.3 aud equal", claims{"aud": testAPI}, "ok"},
		{"RFC 7519 §4.1.3 aud a list with it", claims{"aud": []string{"https://other.example", testAPI}}, "ok"},
		{"RFC 7519 §4.1.3 aud of 64", claims{"aud": append(slices.Repeat([]string{"a"}, 63), testAPI)}, "ok"},
		{"RFC 7519 §4.1.3 aud of 65", claims{"aud": append(slices.Repeat([]string{"a"}, 64), testAPI)}, bad},
		{"RFC 7519 §4.1.3 aud a prefix", claims{"aud": "https://api"}, bad},
		{"RFC 7519 §4.1.3 aud longer", claims{"aud": testAPI + ".attacker.example"}, bad},
		{"RFC 7519 §4.1.3 aud a substring", claims{"aud": "api"}, bad},
		{"RFC 7519 §4.1.3 aud separated by a space", claims{"aud": "x " + testAPI}, bad},
		{"aud missing", claims{"aud": nil}, bad},
		{"aud an empty list", claims{"aud": []string{}}, bad},
		{"aud with a number", claims{"aud": []any{testAPI, 1}}, bad},
		{"aud an object", claims{"aud": claims{testAPI: true}}, bad},
		{"aud nested", claims{"aud": []any{[]any{testAPI}}}, bad},

		{"RFC 7519 §4.1.2 sub missing", claims{"sub": nil}, bad},
		{"RFC 7519 §4.1.2 sub an object", claims{"sub": claims{}}, bad},
		{"RFC 7519 §4.1.2 sub empty", claims{"sub": ""}, bad},
		{"RFC 7519 §4.1.2 sub a number", claims{"sub": 1}, bad},
		{"RFC 7519 §4.1.2 sub of 1 KiB and a byte", claims{"sub": strings.Repeat("s", 1025)}, bad},
		{"sub of 1 KiB", claims{"sub": strings.Repeat("s", 1024)}, "ok"},
		{"sub beyond ASCII", claims{"sub": "Zoë 🦊"}, "ok"},
		{"RFC 9110 §5.5 sub with CR LF", claims{"sub": "a\r\nX-Admin: 1"}, bad},
		{"RFC 9110 §5.5 sub with NUL", claims{"sub": "a\x00"}, bad},
		{"RFC 9110 §5.5 sub with DEL", claims{"sub": "a\x7f"}, bad},
		{"client_id a number", claims{"client_id": 1}, bad},
		{"client_id empty", claims{"client_id": ""}, bad},
		{"jti a number", claims{"jti": 1}, bad},
		{"scope a list", claims{"scope": []string{"a"}}, bad},
		{"scope with a quote", claims{"scope": `a"b`}, bad},
		{"scope with two spaces", claims{"scope": "a  b"}, bad},
		{"scope empty", claims{"scope": ""}, "ok"},

		{"RFC 8693 §4.1 act", claims{"act": claims{"sub": "service"}}, "ok"},
		{"RFC 8693 §4.4 may_act", claims{"may_act": claims{"sub": "service"}}, "ok"},
		{"RFC 8725 §3.12 logout token", claims{"events": claims{"http://schemas.openid.net/event/backchannel-logout": claims{}}}, bad},
		{"RFC 8725 §3.12 client assertion", claims{"iss": "client", "sub": "client", "aud": testIssuer + "/oauth/token"}, bad},
		{"roles of mixed types", claims{"roles": []any{"a", 1, nil, claims{}}}, "ok"},
		{"RFC 8705 §3.1 cnf x5t#S256", claims{"cnf": claims{"x5t#S256": "AAAA"}}, bad},
		{"RFC 9449 §6.1 cnf jkt", claims{"cnf": claims{"jkt": "AAAA"}}, bad},
		{"RFC 7800 §3.1 cnf unknown", claims{"cnf": claims{"x": 1}}, bad},
		{"RFC 7800 §3.1 cnf empty", claims{"cnf": claims{}}, bad},
	}
	issuer := verifytest.New(testIssuer, testAPI)
	issuer.Now = newClock().Now
	v := newVerifier(t, issuer, func(c *verify.Config) { c.Leeway = leeway * time.Second })
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, v, issuer.Sign(test.claims), test.want)
		})
	}
}

// Payloads as text: RFC 7519 §4 and §7.2, RFC 8259.
func TestPayload(t *testing.T) {
	const bad = verify.InvalidToken
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	tests := []struct {
		name, payload, want string
	}{
		{"as it comes", `"sub":"a","exp":1800000100`, "ok"},
		{"RFC 7519 §4.1.4 exp null", `"sub":"a","exp":null`, bad},
		{"RFC 7519 §4 exp twice, good first", `"sub":"a","exp":1800000100,"exp":1`, bad},
		{"RFC 7519 §4 exp twice, good last", `"sub":"a","exp":1,"exp":1800000100`, bad},
		{"RFC 7519 §4 aud twice", `"sub":"a","exp":1800000100,"aud":"b"`, bad},
		{"RFC 7519 §4 sub twice", `"sub":"a","exp":1800000100,"sub":"admin"`, bad},
		{"RFC 7519 §4 sub twice, the same", `"sub":"a","exp":1800000100,"sub":"a"`, bad},
		{"RFC 7519 §4 twice, nested", `"sub":"a","exp":1800000100,"act":{"sub":"x","sub":"y"}`, bad},
		{"RFC 7519 §7.3 Exp", `"sub":"a","Exp":1800000100`, bad},
		{"RFC 7519 §7.3 SUB", `"SUB":"a","exp":1800000100`, bad},
		{"RFC 7519 §7.3 SUB beside sub", `"sub":"a","SUB":"admin","exp":1800000100`, "ok"},
		{"RFC 7519 §7.3 escaped exp", `"sub":"a","\u0065xp":1800000100`, "ok"},
		{"RFC 7519 §7.3 escaped exp as a second", `"sub":"a","\u0065xp":1800000100,"exp":1800000100`, bad},
		{"RFC 7800 §3.1 cnf null", `"sub":"a","exp":1800000100,"cnf":null`, bad},
		{"RFC 3629 §3 invalid UTF-8", "\"sub\":\"a\xff\",\"exp\":1800000100", bad},
		{"RFC 3629 §3 overlong", "\"sub\":\"a\xc0\xaf\",\"exp\":1800000100", bad},
		{"RFC 3629 §3 surrogate in UTF-8", "\"sub\":\"a\xed\xa0\x80\",\"exp\":1800000100", bad},
		{"RFC 8259 §8.2 lone high surrogate", `"sub":"a\ud800","exp":1800000100`, bad},
		{"RFC 8259 §8.2 lone low surrogate", `"sub":"a\udc00","exp":1800000100`, bad},
		{"RFC 8259 §8.2 high and high", `"sub":"a\ud800\ud800","exp":1800000100`, bad},
		{"RFC 8259 §8.2 high and a letter", `"sub":"a\ud800x","exp":1800000100`, bad},
		{"RFC 8259 §8.2 in a claim that nobody reads", `"sub":"a","exp":1800000100,"x":["\ud800"]`, bad},
		{"a pair of surrogates", `"sub":"a\ud83e\udd8a","exp":1800000100`, "ok"},
		{"leading zero", `"sub":"a","exp":01800000100`, bad},
		{"plus sign", `"sub":"a","exp":+1800000100`, bad},
		{"hexadecimal", `"sub":"a","exp":0x6B49D264`, bad},
		{"number without digits after the point", `"sub":"a","exp":1800000100.`, bad},
		{"Infinity", `"sub":"a","exp":Infinity`, bad},
		{"trailing comma", `"sub":"a","exp":1800000100,`, bad},
		{"single quotes", `'sub':"a","exp":1800000100`, bad},
		{"bad escape", `"sub":"\a","exp":1800000100`, bad},
		{"16 levels", `"sub":"a","exp":1800000100,"x":` + deep(15), "ok"},
		{"17 levels", `"sub":"a","exp":1800000100,"x":` + deep(16), bad},
		{"1025 values", `"sub":"a","exp":1800000100,"x":[0` + strings.Repeat(",0", 1020) + `]`, bad},
	}
	issuer := verifytest.New(testIssuer, testAPI)
	issuer.Now = newClock().Now
	v := newVerifier(t, issuer, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, v, issuer.Sign(nil, payloadWith(test.payload)), test.want)
		})
	}
	for _, whole := range []string{`"str"`, `1`, `null`, `[]`, `true`, ` `, `{}`, `{`, `{} {}`, "\ufeff{}", `{"iss"`, `{"iss":`, `{"iss":"x`, `{"iss":"\`, `{"iss":"\u00`} {
		t.Run("RFC 7519 §7.2 "+whole, func(t *testing.T) {
			expect(t, v, issuer.Sign(nil, verifytest.RawPayload(whole)), bad)
		})
	}
}

// RFC 7519 §4.1.3: 10,000 elements are too many, however large a token may be.
func TestHugeAudience(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	raw := issuer.Sign(verifytest.Claims{"aud": append(slices.Repeat([]string{"a"}, 9_999), testAPI)})
	expect(t, newVerifier(t, issuer, nil), raw, verify.InvalidToken)
	large := newVerifier(t, issuer, func(c *verify.Config) { c.MaxTokenSize = 1 << 20 })
	expect(t, large, raw, verify.InvalidToken)
}

// RFC 8725 §3.8: kids mean nothing outside their issuer.
func TestIssuersApart(t *testing.T) {
	a, b := verifytest.New("https://a.example", testAPI), verifytest.New("https://b.example", testAPI)
	v, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{a.Trust(), b.Trust()}})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, v, a.Sign(nil), "ok")
	expect(t, v, b.Sign(nil), "ok")
	expect(t, v, a.Sign(nil, verifytest.SignedBy(b)), verify.InvalidToken)
	expect(t, v, b.Sign(verifytest.Claims{"iss": a.Name}), verify.InvalidToken)
}

// RFC 7519 §2: a NumericDate is rounded down, also before 1970, with and without an exponent.
func TestNumericDate(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	v := newVerifier(t, issuer, nil)
	for text, want := range map[string]int64{
		"0": 0, "-0": 0, "1.0": 1, "1.9999999999999999999": 1, "-1.5": -2, "-1.0": -1, "-0.1": -1,
		"-253402300799": -253_402_300_799, "-2.53402300799e11": -253_402_300_799,
		"1.5e9": 1_500_000_000, "1e-1": 0, "-1e-1": -1, "15E-1": 1, "1700000000.99999999": 1_700_000_000,
	} {
		token := expect(t, v, issuer.Sign(verifytest.Claims{"nbf": json.Number(text)}), "ok")
		if token != nil && token.NotBefore.Unix() != want {
			t.Errorf("%s: %d, want %d", text, token.NotBefore.Unix(), want)
		}
	}
	for text, want := range map[string]string{
		"253402300799": "ok", "2.53402300799e11": "ok",
		"253402300800": verify.InvalidToken, "2.534023008e11": verify.InvalidToken,
	} {
		expect(t, v, issuer.Sign(verifytest.Claims{"exp": json.Number(text)}), want)
	}
	for _, text := range []string{"-253402300800", "-2.534023008e11"} {
		expect(t, v, issuer.Sign(verifytest.Claims{"nbf": json.Number(text)}), verify.InvalidToken)
	}
}

// What the log says of a token without an end: not that it ended in the year 1.
func TestNoExpiry(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	_, err := newVerifier(t, issuer, nil).Verify(t.Context(), verify.Presentation{Token: issuer.Sign(verifytest.Claims{"exp": nil})})
	if err == nil || !strings.Contains(err.Error(), "exp is missing") {
		t.Errorf("got %v, want: exp is missing", err)
	}
}

// RFC 8693 §4.1: the actor is not the subject.
func TestTokenFields(t *testing.T) {
	issuer := verifytest.New(testIssuer, testAPI)
	issuer.Now = newClock().Now
	raw := issuer.Sign(verifytest.Claims{
		"scope": "b a b", "jti": "1", "nbf": json.Number("1799999999.9"), "aud": []string{testAPI, "x"},
		"act": verifytest.Claims{"sub": "service"},
	}, verifytest.Header("typ", "application/AT+jwt"))
	token := expect(t, newVerifier(t, issuer, nil), raw, "ok")
	got := fmt.Sprintln(token.Header, token.Issuer, token.Subject, token.ClientID, token.ID, token.Audience, token.Scope,
		token.Expires.Unix(), token.NotBefore.Unix(), token.IssuedAt.Unix(), token.Actor()["sub"], token.Claims["exp"])
	want := "{ES256 ES256 at+jwt} https://issuer.example alice client 1 [https://api.example x] b a " +
		"1800003600 1799999999 1800000000 service 1800003600\n"
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

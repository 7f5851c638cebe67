package verify_test

import (
	"errors"
	"regexp"
	"testing"

	"github.com/tokenep/caddy-tokenep/verify"
)

// RFC 6750 §3: the value of WWW-Authenticate.
func TestChallenge(t *testing.T) {
	tests := []struct {
		name, realm string
		err         verify.Error
		want        string
	}{
		{"nothing to say", "", verify.Error{Status: 401}, `Bearer`},
		{"RFC 6750 §3.1 no error for a request without token", "orders", verify.Error{Status: 401}, `Bearer realm="orders"`},
		{"a bad token", "orders", verify.Error{Status: 401, Code: verify.InvalidToken, Description: "the token has expired"},
			`Bearer realm="orders", error="invalid_token", error_description="the token has expired"`},
		{"too little scope", "", verify.Error{Status: 403, Code: verify.InsufficientScope, Scope: verify.Scope{"a", "b"}},
			`Bearer error="insufficient_scope", scope="a b"`},
		{"RFC 9110 §5.6.4 realm with a quote", `a", error="x`, verify.Error{}, `Bearer realm="a\", error=\"x"`},
		{"RFC 9110 §5.6.4 realm with a backslash", `a\`, verify.Error{}, `Bearer realm="a\\"`},
		{"RFC 9110 §5.6.4 realm with a line end", "a\r\nSet-Cookie: x", verify.Error{}, `Bearer realm="a??Set-Cookie: x"`},
		{"RFC 9110 §5.6.4 realm beyond ASCII", "é", verify.Error{}, `Bearer realm="??"`},
		{"the cause is not for the client", "", verify.Error{Code: verify.InvalidToken, Cause: errors.New("secret")}, `Bearer error="invalid_token"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := verify.BearerChallenge(&test.err, test.realm); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// Whatever their values are, the parameters of a challenge stay in their quoted-strings (RFC 9110
// §5.6.4), on one line of ASCII, and a client reads back the values.
func FuzzChallenge(f *testing.F) {
	f.Add("api", "the token has expired")
	f.Add(`a", error="x\`, "\r\nSet-Cookie: x")
	f.Add("é", `\"`)
	quoted := regexp.MustCompile(`^Bearer realm="((?:[^"\\]|\\.)*)", error_description="((?:[^"\\]|\\.)*)"$`)
	escape := regexp.MustCompile(`\\(.)`)
	f.Fuzz(func(t *testing.T, realm, description string) {
		if realm == "" || description == "" {
			return // what is empty is left out
		}
		got := verify.BearerChallenge(&verify.Error{Description: description}, realm)
		parts := quoted.FindStringSubmatch(got)
		if parts == nil {
			t.Fatalf("%q", got)
		}
		for i, want := range []string{realm, description} {
			ascii := []byte(want)
			for j, c := range ascii {
				if c < ' ' || c > '~' {
					ascii[j] = '?'
				}
			}
			if read := escape.ReplaceAllString(parts[i+1], "$1"); read != string(ascii) {
				t.Errorf("%q reads as %q", want, read)
			}
		}
	})
}

func TestErrorText(t *testing.T) {
	cause := errors.New("cause")
	err := error(&verify.Error{Status: 401, Code: verify.InvalidToken, Description: "description", Cause: cause})
	if got := err.Error(); got != "invalid_token: description: cause" {
		t.Error(got)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	if got := (&verify.Error{Status: 503}).Error(); got != "service unavailable" {
		t.Error(got)
	}
	for text, want := range map[string]string{
		"one":                                  "one",
		"one\ntwo":                             "one; two",
		"failed:\n\ta: refused\r\n\tb: late\n": "failed: a: refused; b: late",
		"\n":                                   "",
	} {
		err := verify.Error{Status: 503, Description: "later", Cause: errors.New(text)}
		if got := err.Error(); got != "service unavailable: later: "+want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

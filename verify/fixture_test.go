package verify_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

const (
	testIssuer = "https://issuer.example"
	testAPI    = "https://api.example"
)

func newClock() *verifytest.Clock { return verifytest.NewClock(time.Unix(1_800_000_000, 0)) }

// refusal returns the code of an error of Verify, or else its status text; "ok" for no error.
func refusal(err error) string {
	var refused *verify.Error
	switch {
	case err == nil:
		return "ok"
	case !errors.As(err, &refused):
		return "not a *verify.Error: " + err.Error()
	case refused.Code == "":
		return http.StatusText(refused.Status)
	}
	return refused.Code
}

// newVerifier returns a verifier that trusts issuer, with its configuration changed by change.
func newVerifier(t testing.TB, issuer *verifytest.Issuer, change func(*verify.Config)) *verify.Verifier {
	t.Helper()
	c := verify.Config{Issuers: []verify.TrustedIssuer{issuer.Trust()}, Now: issuer.Now}
	if change != nil {
		change(&c)
	}
	v, err := verify.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// expect verifies raw, and fails the test if the outcome is not want.
func expect(t *testing.T, v *verify.Verifier, raw, want string) *verify.Token {
	t.Helper()
	token, err := v.Verify(t.Context(), verify.Presentation{Token: raw})
	if got := refusal(err); got != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
	var refused *verify.Error
	if errors.As(err, &refused) && !plainText(refused.Description) {
		t.Errorf("RFC 6750 §3: description %q", refused.Description)
	}
	if (token == nil) != (err != nil) {
		t.Errorf("token %v with error %v", token, err)
	}
	return token
}

// plainText reports whether s is an error_description: 1*( %x20-21 / %x23-5B / %x5D-7E ).
func plainText(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' })
}

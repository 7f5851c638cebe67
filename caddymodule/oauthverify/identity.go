package oauthverify

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenep/caddy-tokenep/verify"
)

const userPlaceholder = "http.auth.user."

// The placeholders of a refusal, for handle_errors.
const (
	refusalPlaceholder     = "http.oauth_verify."
	reasonPlaceholder      = refusalPlaceholder + "reason"
	descriptionPlaceholder = refusalPlaceholder + "description"
	scopePlaceholder       = refusalPlaceholder + "scope"
)

// identity is whom the last guard of a request has let in. It answers for {http.auth.user.*}: a
// claim is looked up when its placeholder is used, since most never are.
type identity struct {
	token *verify.Token // nil: nobody
	guard *verify.Guard
}

// String keeps the claims out of {http.vars.*}.
func (*identity) String() string { return "" }

// identityVar is the variable that has the identity of a request. Variables, unlike the context,
// are shared with the routes of handle_errors.
const identityVar = "oauth_verify.identity"

// expectIdentity makes every placeholder under {http.auth.user.} known, and returns what answers
// for them. Those that another handler has set keep their values.
func expectIdentity(r *http.Request) *identity {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if earlier, ok := vars[identityVar].(*identity); ok {
		return earlier
	}
	user := new(identity)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(user.placeholder)
	}
	if vars != nil {
		vars[identityVar] = user
	}
	return user
}

// identify returns the request with the token in its context, and in {http.auth.user.*}. It removes
// what an earlier handler has set there, so that two identities never mix.
func (i *identity) identify(r *http.Request, t *verify.Token, g *verify.Guard) *http.Request {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.DeleteByPrefix(userPlaceholder)
	}
	i.token, i.guard = t, g
	return r.WithContext(verify.NewContext(r.Context(), t))
}

// placeholder returns the value of {http.auth.user.<claim>}: the empty string if there is none. It
// is that of a header, where a string is as it is if it is not ASCII. A string with a comma has no
// value either, since it would be like a list. Placeholders in a value are not expanded.
func (i *identity) placeholder(key string) (any, bool) {
	name, ok := strings.CutPrefix(key, userPlaceholder)
	switch {
	case strings.HasPrefix(key, refusalPlaceholder): // which nothing has set
		return "", true
	case !ok:
		return nil, false
	case i.token == nil:
		return "", true
	case name == "id": // even if there is a claim called id
		return textOf(i.token.Subject), true
	}
	claim := claimAt(i.token, name)
	if text, ok := claim.(string); ok && strings.Contains(text, ",") {
		return "", true
	}
	return textOf(claim), true
}

// claimAt returns the claim of a path, as a placeholder names it. What is no path leads to none.
func claimAt(t *verify.Token, path string) any {
	names, _ := verify.ParseClaimPath(path)
	claim, _ := t.Claim(names...)
	return claim
}

// textOf returns a claim as a placeholder writes it: a boolean as one, and anything else as text.
func textOf(claim any) any {
	switch claim := claim.(type) {
	case bool:
		return claim
	case string:
		if len(claim) > maxText || strings.TrimSpace(claim) != claim || strings.ContainsFunc(claim, isControl) {
			return ""
		}
		return claim
	}
	// What no header could carry has no text.
	text, _ := verify.HeaderValue(claim)
	return text
}

// maxText is the length in bytes of the longest text, as in a header.
const maxText = 4 << 10

// isControl reports whether a character is a control character, such as NEL, or separates lines or
// paragraphs.
func isControl(c rune) bool {
	if c < utf8.RuneSelf {
		return c < ' ' || c == 0x7f
	}
	return unicode.In(c, unicode.Cc, unicode.Zl, unicode.Zp)
}

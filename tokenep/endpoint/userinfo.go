package endpoint

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// UserInfo is the endpoint of OpenID Connect Core §5.3: whom an access token with the scope openid
// is about, and those of the user's claims that its scope asks for (§5.4). The token comes in the
// header Authorization or, by POST, in the form; refusals are as those of a protected resource
// (§5.3.3, RFC 6750 §3).
type UserInfo struct {
	Verifier *verify.Verifier // trusts this issuer alone, for any audience
	Users    state.Users
	Claims   tokenep.UserClaims // that are told
	SignIn   []string           // claims of ID tokens about the sign-in

	// Address and Rates are for tokens that are bound to addresses, or good for so many requests.
	Address func(*http.Request) netip.Addr
	Rates   *verify.Rates

	Refused func(*http.Request, *verify.Error) // logs a request that is refused; may be nil
}

// Endpoint returns the row of the table.
func (e UserInfo) Endpoint() tokenep.Endpoint {
	guard := &verify.Guard{
		Verifier: e.Verifier, Scope: verify.Scope{tokenep.OpenIDScope}, Rules: []verify.Rule{ofUser}, FormToken: true, Realm: "userinfo",
		ClientAddress: e.Address, Rates: e.Rates, Refused: e.Refused,
	}
	return tokenep.Endpoint{
		Name: userInfoName, Path: "/oauth/userinfo", Member: "userinfo_endpoint",
		Metadata: func(map[string]any) map[string]any {
			return map[string]any{
				"claims_supported":           slices.Concat([]string{"sub", "iss", "aud", "exp", "iat", "nonce", "at_hash"}, e.SignIn, e.Claims.Names()),
				"claims_parameter_supported": false,
			}
		},
		Methods: []string{http.MethodGet, http.MethodPost},
		Handler: guard.Handler(http.HandlerFunc(e.answer)),
	}
}

// ofUser refuses the token of a client that acts for itself: there is no user to tell about.
func ofUser(_ *http.Request, t *verify.Token) error {
	if strings.HasPrefix(t.Subject, tokenep.ClientSubjectPrefix) {
		return &verify.Error{
			Status: http.StatusForbidden, Code: verify.InsufficientScope, Description: "the access token is about a client, and no user",
		}
	}
	return nil
}

// answer tells who the user is (§5.3.2). sub is that of the ID token.
func (e UserInfo) answer(w http.ResponseWriter, r *http.Request) {
	token, ok := verify.FromContext(r.Context())
	if !ok {
		_ = tokenep.WriteError(w, r, tokenep.ServerError)
		return
	}
	var known map[string]any
	if e.Claims.Release(token.Scope) {
		var err error
		if known, err = e.Users.Claims(r.Context(), token.Subject); err != nil {
			_ = tokenep.WriteError(w, r, tokenep.AsError(err))
			return
		}
	}
	told := e.Claims.Of(known, token.Scope)
	told["sub"] = token.Subject
	tokenep.WriteJSON(w, http.StatusOK, told)
}

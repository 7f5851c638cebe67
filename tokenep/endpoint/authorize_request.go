package endpoint

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/verify"
)

// authorizeParameters are all that Authorize reads. The last two are those of the consent page.
var authorizeParameters = []string{
	"client_id", "response_type", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method",
	"resource", "nonce", "response_mode", "prompt", "max_age", "request", "request_uri",
	"page", "decision",
}

// authorizationRequest is what is left of a request (RFC 6749 §4.1.1) when it was found good. It is
// sealed into the page on which the user decides.
type authorizationRequest struct {
	ClientID        string       `json:"client_id"`
	RegistrationID  string       `json:"registration_id,omitempty"`
	RedirectURI     string       `json:"redirect_uri"`
	RedirectImplied bool         `json:"redirect_implied,omitempty"`
	State           string       `json:"state,omitempty"`
	Mode            string       `json:"response_mode,omitempty"`
	Scope           verify.Scope `json:"scope,omitempty"`
	Audience        []string     `json:"aud,omitempty"`
	Challenge       string       `json:"code_challenge,omitempty"`
	ChallengeMethod string       `json:"code_challenge_method,omitempty"`
	Nonce           string       `json:"nonce,omitempty"`
}

// What comes back to the client, or is kept with the code, has a bound.
const (
	maxState = 8 << 10
	maxNonce = 512
)

// read reads what the client asks for into q. Its errors go to the client.
func (e Authorize) read(form *tokenep.Form, client *tokenep.Client, q *authorizationRequest) (p prompts, err error) {
	if err := e.readResponse(form, client, q); err != nil {
		return p, err
	}
	if err := q.readChallenge(form); err != nil {
		return p, err
	}
	q.Scope = client.ImpliedScope()
	if text := form.Get("scope"); text != "" {
		if q.Scope, err = verify.ParseScope(text); err != nil {
			return p, tokenep.InvalidScope.Describe("the scope is malformed").Because(err)
		}
	}
	if !client.Scope.Includes(q.Scope) {
		return p, tokenep.InvalidScope.Describe("the client may not ask for this scope")
	}
	allowed := client.Audience
	if len(allowed) == 0 {
		allowed = e.Audience
	}
	if q.Audience, err = form.ReadResources(allowed); err != nil {
		return p, err
	}
	if len(q.Audience) == 0 {
		q.Audience = client.Audience
	}
	return readPrompts(form)
}

// readResponse reads what kind of answer is wanted, and whether this client may have one.
func (e Authorize) readResponse(form *tokenep.Form, client *tokenep.Client, q *authorizationRequest) error {
	if q.Mode != "" && q.Mode != modeQuery && q.Mode != modeFormPost {
		q.Mode = ""
		return tokenep.InvalidRequest.Describe("the server knows no such response_mode")
	}
	if len(q.State) > maxState {
		q.State = ""
		return tokenep.InvalidRequest.Describe("state is too long")
	}
	q.Nonce = form.Get("nonce")
	switch responseType := form.Get("response_type"); {
	case form.Has("request"): // OpenID Connect Core §3.1.2.6
		return tokenep.RequestNotSupported.Describe("the server does not take request objects")
	case form.Has("request_uri"):
		return tokenep.RequestURINotSupported.Describe("the server does not take request objects")
	case responseType == "":
		return tokenep.InvalidRequest.Describe("response_type is missing")
	case responseType != "code":
		return tokenep.UnsupportedResponseType.Describe("response_type must be code")
	case !client.May(grant.AuthorizationCodeType):
		return tokenep.UnauthorizedClient.Describe("the client may not use the authorization code grant")
	case len(q.Nonce) > maxNonce:
		return tokenep.InvalidRequest.Describe("nonce is too long")
	}
	return nil
}

// s256Length is that of a code_challenge: SHA-256 in base64url.
const s256Length = 43

// readChallenge reads the code_challenge, which every client must send (RFC 9700 §2.1.1).
func (q *authorizationRequest) readChallenge(form *tokenep.Form) error {
	q.Challenge, q.ChallengeMethod = form.Get("code_challenge"), form.Get("code_challenge_method")
	switch {
	case q.Challenge == "":
		return tokenep.InvalidRequest.Describe("code_challenge is missing (RFC 7636)")
	case q.ChallengeMethod != grant.ChallengeS256: // absent, it means plain
		return tokenep.InvalidRequest.Describe("code_challenge_method must be S256")
	case len(q.Challenge) != s256Length || !grant.IsCodeVerifier(q.Challenge) || strings.ContainsAny(q.Challenge, ".~"):
		return tokenep.InvalidRequest.Describe("code_challenge must be a SHA-256 in base64url")
	}
	return nil
}

// prompts is how the client wants the user to be asked (OpenID Connect Core §3.1.2.1).
type prompts struct {
	values []string
	maxAge time.Duration // negative: any
}

func readPrompts(form *tokenep.Form) (p prompts, err error) {
	p.maxAge = -1
	if text := form.Get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return p, tokenep.InvalidRequest.Describe("max_age must be a number of seconds")
		}
		p.maxAge = time.Duration(seconds) * time.Second
	}
	p.values = strings.Fields(form.Get("prompt"))
	for _, value := range p.values {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, value) {
			return p, tokenep.InvalidRequest.Describe("the server knows no such prompt")
		}
	}
	switch {
	case p.asks("none") && len(p.values) > 1:
		return p, tokenep.InvalidRequest.Describe("prompt has none and something else")
	case p.asks("select_account"):
		return p, tokenep.AccountSelectionRequired.Describe("the user cannot be asked for another account")
	}
	return p, nil
}

func (p prompts) asks(prompt string) bool { return slices.Contains(p.values, prompt) }

// freshEnough reports whether the sign-in of the user is as young as the client asks for. The user
// cannot be asked to sign in here, and where nobody knows when that was, it is never young enough.
func (p prompts) freshEnough(user tokenep.User, now time.Time) bool {
	if p.asks("login") {
		return false
	}
	return p.maxAge < 0 || !user.SignIn.Time.IsZero() && now.Sub(user.SignIn.Time) <= p.maxAge
}

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// requestParameters are those of an authorization request (RFC 6749 §4.1.1 and its extensions).
var requestParameters = []string{
	"client_id", "response_type", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method",
	"dpop_jkt", "resource", "nonce", "response_mode", "prompt", "max_age", "acr_values", "id_token_hint", "request", "request_uri",
	"login_hint", "display", "ui_locales", "claims_locales", "claims", // which are ignored
}

// authorizeParameters are all that Authorize reads: those, and the ones of the consent page.
var authorizeParameters = append(slices.Clip(requestParameters), "page", "decision", "flow")

// authorizationRequest is what is left of a request (RFC 6749 §4.1.1) when it was found good. It is
// sealed into the page on which the user decides.
type authorizationRequest struct {
	state.AuthorizationRequest
	Pushed string `json:"pushed,omitempty"` // by which it is spent (RFC 9126 §7.3)

	// Who has signed in for it, by name and password; empty: nobody. No times are compared for
	// that: the clocks of two nodes differ. Chosen says that instead the user has chosen who was
	// signed in already.
	SignedIn string `json:"signed_in,omitempty"`
	Chosen   bool   `json:"chosen,omitempty"`
}

// What comes back to the client, or is kept with the code, has a bound.
const (
	maxState   = 8 << 10
	maxNonce   = 512
	maxClasses = 1024
)

// read reads what the client asks for into q. Its errors go to the client.
func (e Authorize) read(ctx context.Context, form *tokenep.Form, client *tokenep.Client, q *authorizationRequest) (err error) {
	if err := e.readResponse(form, client, q); err != nil {
		return err
	}
	if err := q.readChallenge(form, client); err != nil {
		return err
	}
	if q.KeyThumbprint = form.Get("dpop_jkt"); q.KeyThumbprint != "" && !isS256(q.KeyThumbprint) {
		return tokenep.InvalidRequest.Describe("dpop_jkt must be a SHA-256 in base64url")
	}
	q.Scope = client.ImpliedScope()
	if text := form.Get("scope"); text != "" {
		if q.Scope, err = verify.ParseScope(text); err != nil {
			return tokenep.InvalidScope.Describe("the scope is malformed").Because(err)
		}
	}
	if !client.Scope.Includes(q.Scope) {
		return tokenep.InvalidScope.Describe("the client may not ask for this scope").
			Because(fmt.Errorf("%.200q is not within %.500q", q.Scope, client.Scope))
	}
	allowed := client.Audience
	if len(allowed) == 0 {
		allowed = e.Audience
	}
	if q.Audience, err = form.ReadResources(allowed); err != nil {
		return err
	}
	if len(q.Audience) == 0 {
		q.Audience = client.Audience
	}
	if err := q.readPrompt(form); err != nil {
		return err
	}
	if q.asks("select_account") && !e.SignsIn {
		return tokenep.AccountSelectionRequired.Describe("the user cannot be asked for another account")
	}
	if hint := form.Get("id_token_hint"); hint != "" {
		q.Hint, err = e.readHint(ctx, hint, client.ID)
	}
	if errors.Is(err, verify.ErrUnknownKey) {
		return tokenep.LoginRequired.Describe("id_token_hint is too old to tell who is meant").Because(err)
	}
	return err
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

// readChallenge reads the code_challenge, which every client must send (RFC 9700 §2.1.1), by S256,
// unless it is registered as one that does not.
func (q *authorizationRequest) readChallenge(form *tokenep.Form, client *tokenep.Client) error {
	q.Challenge, q.ChallengeMethod = form.Get("code_challenge"), form.Get("code_challenge_method")
	if q.Challenge == "" && q.ChallengeMethod == "" && client.InsecureNoPKCE && !client.Public() {
		return nil
	}
	if q.ChallengeMethod == "" && client.InsecurePlainPKCE { // RFC 7636 §4.3
		q.ChallengeMethod = grant.ChallengePlain
	}
	switch {
	case q.Challenge == "":
		return tokenep.InvalidRequest.Describe("code_challenge is missing (RFC 7636)")
	case q.ChallengeMethod == grant.ChallengePlain && client.InsecurePlainPKCE:
		if !grant.IsCodeVerifier(q.Challenge) {
			return tokenep.InvalidRequest.Describe("code_challenge must be 43 to 128 unreserved characters")
		}
	case q.ChallengeMethod != grant.ChallengeS256: // absent, it means plain
		return tokenep.InvalidRequest.Describe("code_challenge_method must be S256")
	case !isS256(q.Challenge):
		return tokenep.InvalidRequest.Describe("code_challenge must be a SHA-256 in base64url")
	}
	return nil
}

// isS256 reports whether a text can be a SHA-256 in base64url.
func isS256(text string) bool {
	return len(text) == s256Length && grant.IsCodeVerifier(text) && !strings.ContainsAny(text, ".~")
}

// readPrompt reads how the client wants the user to be asked (OpenID Connect Core §3.1.2.1).
func (q *authorizationRequest) readPrompt(form *tokenep.Form) error {
	if text := form.Get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil && !errors.Is(err, strconv.ErrRange) { // at which it is the largest number
			return tokenep.InvalidRequest.Describe("max_age must be a number of seconds")
		}
		q.MaxAge = new(int64(seconds))
	}
	q.Classes = strings.Fields(form.Get("acr_values"))
	if len(form.Get("acr_values")) > maxClasses {
		return tokenep.InvalidRequest.Describe("acr_values is too long")
	}
	q.Prompt = strings.Fields(form.Get("prompt"))
	for _, value := range q.Prompt {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, value) {
			return tokenep.InvalidRequest.Describe("the server knows no such prompt")
		}
	}
	if q.asks("none") && len(q.Prompt) > 1 {
		return tokenep.InvalidRequest.Describe("prompt has none and something else")
	}
	if q.LoginHint = form.Get("login_hint"); state.CheckSubject(q.LoginHint) != nil {
		q.LoginHint = "" // nobody has such a name
	}
	return nil
}

func (q *authorizationRequest) asks(prompt string) bool { return slices.Contains(q.Prompt, prompt) }

// suits refuses a user that the client does not mean, or whose sign-in is not as young as it asks
// for. Where nobody knows when that was, it is never young enough.
func (q *authorizationRequest) suits(user tokenep.User, now time.Time) error {
	signedIn := user.SignIn.Time
	anew := q.anew(user)
	switch {
	case q.asks("login") && !anew,
		q.MaxAge != nil && !anew && (signedIn.IsZero() || now.Sub(signedIn) > time.Duration(*q.MaxAge)*time.Second):
		return tokenep.LoginRequired.Describe("the user cannot be asked to sign in again")
	case q.asks("select_account") && !anew && !q.Chosen:
		return tokenep.LoginRequired.Describe("the user has to choose an account")
	case q.Hint != "" && q.Hint != user.Subject: // OpenID Connect Core §3.1.2.1
		return tokenep.LoginRequired.Describe("another user has signed in than that of id_token_hint")
	}
	return nil
}

// anew reports whether a user has signed in for this request.
func (q *authorizationRequest) anew(user tokenep.User) bool {
	return user.Subject != "" && q.SignedIn == user.Subject
}

// signInHelps reports whether it makes sense to send a user, if there is one, to sign in: those who
// come from there, and are not the one that the client means, would be sent around for ever.
func (q *authorizationRequest) signInHelps(user tokenep.User) bool { return !q.anew(user) }

// told returns what the client is told of a sign-in. Where it asked for certain classes, another
// one is not told, although OpenID Connect Core §5.5.1.1 would have it: the suite that certifies
// servers takes every acr that was not asked for as a fault.
func (q *authorizationRequest) told(s tokenep.SignIn) tokenep.SignIn {
	if len(q.Classes) > 0 && !slices.Contains(q.Classes, s.Class) {
		s.Class = ""
	}
	return s
}

var (
	errNotIDToken = errors.New("it has no iat")
	errHintKey    = errors.New("there is no key for its alg")
)

// readHint returns whom an ID token is about that a client got earlier (OpenID Connect Core
// §3.1.2.1). It may have expired. One whose key is gone proves nothing any more, and then nobody
// knows who is meant: the error Is verify.ErrUnknownKey.
func (e Authorize) readHint(ctx context.Context, text, clientID string) (subject string, err error) {
	hint, err := verify.ParseAssertion(text)
	if err == nil {
		claims := hint.Claims()
		subject = claims.Subject
		keys := e.IDTokens[verify.CanonicalAlgorithm(claims.Header.Algorithm)]
		switch {
		case keys == nil:
			err = errHintKey
		case claims.IssuedAt.IsZero():
			err = errNotIDToken
		default:
			err = hint.Check(ctx, verify.AssertionRules{
				Issuer: e.Issuer, Audience: []string{clientID}, Types: []string{"jwt"}, Keys: keys,
				Now: claims.IssuedAt, MaxLife: claims.Expires.Sub(claims.IssuedAt), OptionalID: true,
			})
		}
	}
	switch {
	case err == nil:
		return subject, nil
	case tokenep.AsUnavailable(err) != nil:
		return "", tokenep.AsUnavailable(err)
	case errors.Is(err, verify.ErrUnknownKey):
		return "", err
	default:
		return "", tokenep.InvalidRequest.Describe("id_token_hint is no ID token of this server for the client").Because(err)
	}
}

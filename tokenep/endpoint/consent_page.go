package endpoint

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// ConsentRequest is for a page of the site's own on which a user decides about an authorization
// request (RFC 6749 §4.1.1): it says what is asked, of whom, and where the answer goes. Authorize
// sends the browser to that page with ?consent_token=, and the page sends the answer to Grants.
//
//	GET <path>/<consent_token>
//
// A consent_token is what Authorize puts into its own page: it is of one user, one browser and half
// an hour, and holds the request, which is stored nowhere. No other origin can read the answer.
type ConsentRequest struct{ Authorize }

// Endpoint returns the row of the table.
func (e ConsentRequest) Endpoint() tokenep.Endpoint {
	return tokenep.Endpoint{
		Name: consentName, Path: "/oauth/consent", Argument: "consent_token",
		Methods: []string{http.MethodGet}, Origins: tokenep.CORS{}, Handler: e,
	}
}

// consentRequest is the answer.
type consentRequest struct {
	ClientID   string   `json:"client_id"`
	ClientName string   `json:"client_name,omitempty"`
	ClientURI  string   `json:"client_uri,omitempty"`
	Unverified bool     `json:"self_registered"` // nobody knows whether that is its name: say so
	LogoURI    string   `json:"logo_uri,omitempty"`
	PolicyURI  string   `json:"policy_uri,omitempty"`
	TOSURI     string   `json:"tos_uri,omitempty"`
	User       string   `json:"user"`
	Scopes     []string `json:"scopes"`
	Resources  []string `json:"resources"`

	// Where the browser will be sent: show its host, and warn of a program on this computer.
	RedirectURI  string `json:"redirect_uri"`
	RedirectHost string `json:"redirect_host"` // empty: a program opens RedirectURI
	Loopback     bool   `json:"redirect_loopback"`

	Remembered bool `json:"remembered"` // the user will not be asked again

	ExpiresIn int64 `json:"expires_in"` // seconds to decide
}

// ServeHTTP answers one request.
func (e ConsentRequest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.Front.Answer(w, r, consentName, func(o *tokenep.Outcome) (any, error) {
		page, user, err := e.openPage(r, r.PathValue("consent_token"))
		if err != nil {
			return nil, err
		}
		q := &page.Request
		if err := e.stillGood(r, o, q); err != nil {
			return nil, err
		}
		c := consentRequest{
			ClientID: o.Client.ID, ClientName: o.Client.Name, ClientURI: o.Client.URI, Remembered: !couldBeAnybody(o.Client, q), Unverified: o.Client.SelfRegistered,
			LogoURI: logo(o.Client), PolicyURI: o.Client.PolicyURI, TOSURI: o.Client.TOSURI, User: user.Subject, Scopes: append([]string{}, q.Scope...), Resources: append([]string{}, q.Audience...),
			RedirectURI: q.RedirectURI, ExpiresIn: int64(page.Expires.Sub(e.Now()).Seconds()),
		}
		if to, err := url.Parse(q.RedirectURI); err == nil && (to.Scheme == "https" || to.Scheme == "http") {
			c.RedirectHost = to.Hostname()
			c.Loopback = to.Scheme == "http" // which no other host may have
		}
		return c, nil
	})
}

// Grants takes the answer of that page (RFC 6749 §4.1.2), as JSON or as a form.
//
//	consent_token  REQUIRED
//	allowed        REQUIRED  true or false
//
// It says where the page must send the browser. The request must come from the origin of the
// issuer, as browsers say it (Fetch Metadata, RFC 6454 §7); where a client says neither, it must be
// JSON, which no page of another origin can send without being allowed to.
type Grants struct{ Authorize }

// Endpoint returns the row of the table.
func (e Grants) Endpoint() tokenep.Endpoint {
	return tokenep.Endpoint{
		Name: grantsName, Path: "/oauth/grants",
		Methods: []string{http.MethodPost}, Origins: tokenep.CORS{}, Handler: e,
	}
}

// decidedAnswer is the answer: with form, the page sends these to redirect_uri by POST (OAuth 2.0
// Form Post Response Mode), else the browser just goes there.
type decidedAnswer struct {
	RedirectURI string            `json:"redirect_uri"`
	Form        map[string]string `json:"form,omitempty"`
}

// ServeHTTP answers one request. A user who denies gets an answer too, but it is logged as refused.
func (e Grants) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.Front.Answer(w, r, grantsName, func(o *tokenep.Outcome) (any, error) {
		q, values, err := e.decide(r, o)
		if err != nil {
			return nil, err
		}
		values = e.complete(q, values)
		answer := decidedAnswer{RedirectURI: q.RedirectURI}
		if q.Mode == modeFormPost {
			answer.Form = make(map[string]string, len(values))
			for _, v := range values {
				answer.Form[v.Name] = v.Value
			}
		} else {
			answer.RedirectURI = redirectTo(q.RedirectURI, values)
		}
		return answer, nil
	})
}

// decide returns what the client is told.
func (e Grants) decide(r *http.Request, o *tokenep.Outcome) (*authorizationRequest, []parameter, error) {
	token, allowed, err := e.readDecision(r)
	if err != nil {
		return nil, nil, err
	}
	page, user, err := e.openPage(r, token)
	if err != nil {
		return nil, nil, err
	}
	q := &page.Request
	if err := e.stillGood(r, o, q); err != nil {
		return nil, nil, err
	}
	if err := e.stillSuits(&page, user); err != nil {
		o.Err = tokenep.AsError(err)
		return q, errorParameters(o.Err), nil
	}
	if !allowed {
		o.Err = tokenep.AccessDenied.Describe("the user does not allow it")
		return q, errorParameters(o.Err), nil
	}
	if err := e.answerOnce(r.Context(), &page); err != nil {
		return nil, nil, err
	}
	if err := e.spend(r.Context(), q, user); err != nil {
		return nil, nil, err
	}
	code, err := e.issue(r.Context(), o, q, user, answered)
	return q, []parameter{{"code", code}}, err
}

// readDecision reads the request. It refuses one that a page of another origin could have sent.
func (e Grants) readDecision(r *http.Request) (token string, allowed bool, err error) {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	isJSON := mediaType == "application/json"
	if !e.sameOrigin(r, isJSON) {
		refusal := tokenep.InvalidRequest.Describe("the request must come from a page of the issuer's own origin")
		refusal.Status = http.StatusForbidden
		return "", false, refusal
	}
	if isJSON {
		return readJSONDecision(r)
	}
	form, err := tokenep.ReadParameters(r, []string{"consent_token", "allowed"})
	if err != nil {
		return "", false, err
	}
	if token, err = form.Require("consent_token", "consent_token is missing"); err != nil {
		return "", false, err
	}
	switch form.Get("allowed") {
	case "true":
		return token, true, nil
	case "false":
		return token, false, nil
	}
	return "", false, errAllowed()
}

func errAllowed() error { return tokenep.InvalidRequest.Describe("allowed must be true or false") }

// maxDecision bounds a JSON body, in bytes.
const maxDecision = 64 << 10

func readJSONDecision(r *http.Request) (token string, allowed bool, err error) {
	var in struct {
		ConsentToken string `json:"consent_token"`
		Allowed      *bool  `json:"allowed"`
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxDecision+1))
	if err == nil && len(body) > maxDecision {
		err = errors.New("it is larger than 64 KiB")
	}
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	switch {
	case err != nil:
		return "", false, tokenep.InvalidRequest.Describe("the body is not the JSON object that is expected").Because(err)
	case in.ConsentToken == "":
		return "", false, tokenep.InvalidRequest.Describe("consent_token is missing")
	case in.Allowed == nil:
		return "", false, errAllowed()
	}
	return in.ConsentToken, *in.Allowed, nil
}

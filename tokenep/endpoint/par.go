package endpoint

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// PushedAuthorization is the endpoint of RFC 9126: a client sends its authorization request by
// itself, and the browser brings a reference to it. The parameters are those of Authorize, and so
// are the checks; client_id is REQUIRED beside any authentication, and request_uri is refused
// (§2.1).
//
// The request of a client that has authenticated is stored. That of a public client is sealed into
// its request_uri instead, so that nobody who has proved nothing can fill the store: such a
// request_uri is longer, and nothing is written before a code is given.
type PushedAuthorization struct{ Authorize }

// Endpoint returns the row of the table.
func (e PushedAuthorization) Endpoint() tokenep.Endpoint {
	return tokenep.Endpoint{
		Name: pushedName, Path: "/oauth/par", Member: "pushed_authorization_request_endpoint",
		Methods:    []string{http.MethodPost},
		Callers:    tokenep.AnyClient,
		Parameters: requestParameters,
		Call:       e.call,
	}
}

// pushedAnswer is the answer (§2.2).
type pushedAnswer struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"`
}

const (
	requestURIPrefix = "urn:ietf:params:oauth:request_uri:"
	sealedReference  = "sealed." // begins the reference to a request of a public client
)

func (e PushedAuthorization) call(ctx context.Context, r *tokenep.Request) (any, error) {
	if r.Form.Has("request_uri") {
		return nil, tokenep.InvalidRequest.Describe("request_uri is not a parameter of a pushed request (RFC 9126)")
	}
	q, client, err := e.destination(ctx, r.Form)
	if err != nil {
		return nil, err
	}
	if err := e.read(ctx, r.Form, client, q); err != nil {
		return nil, err
	}
	if err := e.bind(ctx, r, client, q); err != nil {
		return nil, err
	}
	if asked := r.Form.Get("ui_locales"); len(asked) <= maxLocales {
		q.Locales = asked
	}
	var reference string
	life := state.DefaultPushedLife
	if client.Public() {
		var sealed string
		sealed, err = e.Seals.seal(forRequests, sealedRequest{rand.Text(), q.AuthorizationRequest, e.Now().Add(life)})
		reference = sealedReference + sealed
	} else {
		reference, _, err = e.Pushed.Push(ctx, q.AuthorizationRequest)
	}
	if err != nil {
		return nil, err
	}
	return tokenep.Created{Answer: pushedAnswer{requestURIPrefix + reference, int64(life / time.Second)}}, nil
}

// bind binds the code to the key of a DPoP proof, as dpop_jkt does (RFC 9449 §10.1). That of a
// public client is not remembered: it has proved nothing but the key, and whoever sends its proof
// again can bind a code to that alone.
func (e PushedAuthorization) bind(ctx context.Context, r *tokenep.Request, client *tokenep.Client, q *authorizationRequest) error {
	shown, err := e.Front.Possessions.Of(r.Request)
	switch {
	case err != nil:
		return err
	case shown.KeyThumbprint == "":
		return nil
	case q.KeyThumbprint != "" && q.KeyThumbprint != shown.KeyThumbprint:
		return tokenep.InvalidDPoPProof.Describe("dpop_jkt is not the thumbprint of the key of the DPoP proof")
	}
	q.KeyThumbprint = shown.KeyThumbprint
	if client.Public() {
		return nil
	}
	return e.Front.Possessions.Spend(ctx, &shown)
}

// sealedRequests is where the ids of those are remembered that gave a code.
const sealedRequests = "pushed authorization request"

// sealedRequest is what is in the request_uri of a public client.
type sealedRequest struct {
	ID      string                     `json:"id"` // it is spent once
	Request state.AuthorizationRequest `json:"request"`
	Expires time.Time                  `json:"exp"`
}

// pushed returns the pushed request to which a request refers (RFC 9126 §4), and its client. Every
// error is shown on a page, and the same for each cause: there may be no redirect URI, or only that
// of somebody else, and a browser that comes back to an old page should not be sent to the client
// once more.
func (e Authorize) pushed(ctx context.Context, form *tokenep.Form, reference string) (*authorizationRequest, *tokenep.Client, error) {
	client, err := e.client(ctx, form)
	if err != nil {
		return nil, nil, err
	}
	q := new(authorizationRequest)
	q.AuthorizationRequest, q.Pushed, err = e.openPushed(ctx, reference, client.ID)
	if err == nil && !q.mayAsk(client) {
		err = errors.New("the client may not ask for this any more")
	} else if err != nil && !errors.Is(err, state.ErrRefused) {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, tokenep.InvalidRequest.Describe("this request_uri has expired, or was used before").Because(err)
	}
	return q, client, nil
}

// openPushed returns the request of a reference, and by what it is spent. The error Is
// state.ErrRefused if there is none.
func (e Authorize) openPushed(ctx context.Context, reference, clientID string) (r state.AuthorizationRequest, spentBy string, err error) {
	text, ok := strings.CutPrefix(reference, sealedReference)
	if !ok {
		r, err = e.Pushed.Open(ctx, reference, clientID)
		return r, reference, err
	}
	var sealed sealedRequest
	switch err := e.Seals.open(forRequests, text, &sealed); {
	case err != nil:
		return r, "", state.ErrMalformed
	case sealed.Request.ClientID != clientID:
		return r, "", state.ErrUnknown
	case !e.Now().Before(sealed.Expires):
		return r, "", state.ErrExpired
	}
	switch spent, err := e.Seen.Has(ctx, sealedRequests, sealed.ID); {
	case err != nil:
		return r, "", err
	case spent: // nobody should have to decide for nothing
		return r, "", state.ErrSpent
	}
	return sealed.Request, sealedReference + sealed.ID, nil
}

// spend keeps the claims of the user that the client may ask for, and uses up a pushed request (RFC
// 9126 §7.3): it is done when the code is given, so that people can load the page again until then.
func (e Authorize) spend(ctx context.Context, q *authorizationRequest, user tokenep.User) (err error) {
	if e.Claims.Release(q.Scope) && !e.SignsIn { // that has kept them
		if err := e.Users.Save(ctx, user.Subject, user.Claims); err != nil {
			return err
		}
	}
	if q.Pushed == "" {
		return nil
	}
	if id, ok := strings.CutPrefix(q.Pushed, sealedReference); ok {
		// Until then it has expired, and so has the last page that was made of it.
		err = e.Seen.Add(ctx, sealedRequests, id, e.Now().Add(state.PushedTail))
	} else {
		err = e.Pushed.Spend(ctx, q.Pushed)
	}
	if errors.Is(err, state.ErrRefused) {
		return tokenep.InvalidRequest.Describe("this request_uri has expired, or was used before").Because(err)
	}
	return err
}

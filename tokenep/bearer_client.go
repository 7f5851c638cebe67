package tokenep

import (
	"context"
	"errors"
	"strings"

	"github.com/tokenep/caddy-tokenep/verify"
)

// identify finds out which client sent the request: by its credentials, or by its access token.
func (t *TokenEndpoint) identify(ctx context.Context, r *Request, o *Outcome) (err error) {
	ctx, end := t.phase(ctx, "authenticate the client")
	defer func() { end(err) }()
	if err := t.authenticate(ctx, r); err != nil {
		return err
	}
	return t.bearerClient(ctx, r, o)
}

// errBearer is the cause of a refusal.
var errBearer = errors.New("the Bearer token is neither the subject token nor the actor token")

var errProvesKey = errors.New("the client is registered for keys or certificates alone")

// bearerClient authenticates a client that has sent no credentials by an access token that was
// issued to it (Dialect.BearerClient). It is for token exchange (RFC 8693), where the token is
// among the parameters anyway: beside other credentials, and for other grants, the header is not
// read. A client that must prove a key (Client.ProvesKey) is not authenticated by less.
func (t *TokenEndpoint) bearerClient(ctx context.Context, r *Request, o *Outcome) error {
	if !t.Dialect.BearerClient || r.Client != nil || r.Form.Get("grant_type") != TokenExchangeType {
		return nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	token = strings.TrimLeft(token, " ")
	failed := func(cause error) error {
		return InvalidClient.Describe("client authentication failed").Because(cause)
	}
	if token == "" || token != r.Form.Get("subject_token") && token != r.Form.Get("actor_token") {
		return failed(errBearer)
	}
	verified, err := t.Verifier.Verify(ctx, verify.Presentation{Token: token, Scheme: scheme})
	if err != nil {
		if away := AsUnavailable(err); away != nil {
			return away
		}
		return failed(err)
	}
	client, err := t.Authenticator.Clients(ctx, verified.ClientID)
	switch {
	case errors.Is(err, InvalidClient):
		return failed(err)
	case err != nil:
		return err
	case client.ProvesKey():
		return failed(errProvesKey)
	}
	r.Client, r.Bearer, o.Client, o.Claimed = client, verified, client, client.ID
	return nil
}

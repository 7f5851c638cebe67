package tokeneptest

import (
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/verify"
)

// NewClient returns a client whose secret is its id with -secret behind it, as Request.By sends it.
// Further fields are for the caller to set.
func NewClient(id string, grantTypes ...string) tokenep.Client {
	return tokenep.Client{
		ID: id, GrantTypes: grantTypes, Secrets: []tokenep.Secret{{Hash: tokenep.HashSecret(id + "-secret")}},
	}
}

// Clients returns the clients that every server of this package knows:
//
//	billing   has scope, a default scope and two audiences; its actors may act for all
//	reports   has scope; its tokens are for the audience of the server
//	headers   must authenticate by the Authorization header; has no scope
//	short     has access tokens that live 90 seconds
//	app       is public
//	gateway   may exchange the tokens of billing, and reaches less far than it
//	broker    may exchange the tokens of all, and do nothing else
//	stranger  may exchange its own tokens only
func Clients() []tokenep.Client {
	const credentials, exchange = grant.ClientCredentialsType, grant.TokenExchangeType

	billing := NewClient("billing", credentials, exchange)
	billing.Scope = verify.Scope{"orders:read", "orders:write", "invoices"}
	billing.DefaultScope = verify.Scope{"orders:read"}
	billing.Audience = []string{Orders, Invoices}
	billing.MayActFor = []string{"*"}

	reports := NewClient("reports", credentials)
	reports.Scope = verify.Scope{"reports"}

	headers := NewClient("headers", credentials)
	headers.AuthMethod = tokenep.AuthBasic

	short := NewClient("short", credentials, exchange)
	short.AccessTokenTTL = tokenep.Duration(90 * time.Second)

	app := tokenep.Client{ID: "app", GrantTypes: []string{credentials, exchange}, AuthMethod: tokenep.AuthNone}

	gateway := NewClient("gateway", credentials, exchange)
	gateway.ExchangeFrom = []string{"billing"}
	gateway.Scope = verify.Scope{"orders:read", "invoices"}
	gateway.Audience = []string{Orders}

	broker := NewClient("broker", exchange)
	broker.ExchangeFrom = []string{"*"}
	broker.Scope = billing.Scope
	broker.Audience = []string{Orders, Invoices, Issuer}

	stranger := NewClient("stranger", credentials, exchange)
	stranger.Audience = []string{Orders}

	return []tokenep.Client{billing, reports, headers, short, app, gateway, broker, stranger}
}

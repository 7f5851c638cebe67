package grant_test

import (
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// Short names for the tables of this package.
const (
	issuer      = tokeneptest.Issuer
	orders      = tokeneptest.Orders
	invoices    = tokeneptest.Invoices
	exchange    = grant.TokenExchangeType
	accessToken = grant.AccessTokenType
	apiToken    = server.APITokenType
)

var (
	post     = tokeneptest.Post
	swap     = tokeneptest.ExchangeAccessToken
	redeem   = tokeneptest.ExchangeAPIToken
	grants   = tokeneptest.Grants
	refuses  = tokeneptest.Refuses
	plain    = tokeneptest.ClientCredentials()
	anyToken state.APIToken
)

type (
	request = tokeneptest.Request
	rule    = tokeneptest.Rule
)

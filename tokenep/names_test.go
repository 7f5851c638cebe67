package tokenep_test

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
	tokenPath   = tokeneptest.TokenPath
	jsonPath    = tokeneptest.JSONPath
	phrasePath  = tokeneptest.PhrasePath
	revokePath  = tokeneptest.RevokePath
	cc          = grant.ClientCredentialsType
	exchange    = grant.TokenExchangeType
	accessToken = grant.AccessTokenType
	apiToken    = server.APITokenType
)

var (
	post     = tokeneptest.Post
	raw      = tokeneptest.PostForm
	jsonBody = tokeneptest.PostJSON
	get      = tokeneptest.Get
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
	object  = map[string]any
)

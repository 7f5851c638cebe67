package server_test

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
	revokePath  = tokeneptest.RevokePath
	cc          = grant.ClientCredentialsType
	exchange    = grant.TokenExchangeType
	accessToken = grant.AccessTokenType
	apiToken    = server.APITokenType
)

var (
	post     = tokeneptest.Post
	raw      = tokeneptest.PostForm
	get      = tokeneptest.Get
	swap     = tokeneptest.ExchangeAccessToken
	redeem   = tokeneptest.ExchangeAPIToken
	plain    = tokeneptest.ClientCredentials()
	anyToken state.APIToken
)

type (
	request = tokeneptest.Request
)

package subject_test

import (
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// Short names for the tables of this package.
const (
	phrasePath  = tokeneptest.PhrasePath
	exchange    = grant.TokenExchangeType
	accessToken = grant.AccessTokenType
	apiToken    = server.APITokenType
)

var (
	post     = tokeneptest.Post
	redeem   = tokeneptest.ExchangeAPIToken
	grants   = tokeneptest.Grants
	refuses  = tokeneptest.Refuses
	swap     = tokeneptest.ExchangeAccessToken
	plain    = tokeneptest.ClientCredentials()
	anyToken state.APIToken
)

type (
	request = tokeneptest.Request
	rule    = tokeneptest.Rule
)

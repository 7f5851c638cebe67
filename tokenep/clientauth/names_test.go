package clientauth_test

import (
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// Short names for the tables of this package.
const (
	cc = grant.ClientCredentialsType
)

var (
	post    = tokeneptest.Post
	grants  = tokeneptest.Grants
	refuses = tokeneptest.Refuses
	plain   = tokeneptest.ClientCredentials()
)

type (
	request = tokeneptest.Request
	rule    = tokeneptest.Rule
)

package grant

import "github.com/tokenep/caddy-tokenep/tokenep"

// All returns the grants of a server. Token exchange is not offered without a kind of token that
// can be exchanged.
func All(exchange TokenExchange) []tokenep.Grant {
	grants := []tokenep.Grant{ClientCredentials{}}
	if len(exchange.Subjects) > 0 {
		grants = append(grants, exchange)
	}
	return grants
}

// Types returns the grant_type of every grant of this package.
func Types() []string {
	return []string{ClientCredentialsType, TokenExchangeType}
}

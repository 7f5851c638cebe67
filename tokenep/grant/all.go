package grant

import "github.com/tokenep/caddy-tokenep/tokenep"

// list is every grant of this package.
func list(exchange TokenExchange) []tokenep.Grant {
	return []tokenep.Grant{ClientCredentials{}, exchange}
}

// All returns the grants of a server. Token exchange is not offered without a kind of token that
// can be exchanged.
func All(exchange TokenExchange) []tokenep.Grant {
	var offered []tokenep.Grant
	for _, g := range list(exchange) {
		if g.Type() != TokenExchangeType || len(exchange.Subjects) > 0 {
			offered = append(offered, g)
		}
	}
	return offered
}

// Types returns the grant_type of every grant of this package, offered or not.
func Types() []string {
	var types []string
	for _, g := range list(TokenExchange{}) {
		types = append(types, g.Type())
	}
	return types
}

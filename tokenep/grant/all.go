package grant

import "github.com/tokenep/caddy-tokenep/tokenep"

// All returns the grants of a server. Without subjects nothing can be exchanged, and the grant is not offered.
func All(exchange TokenExchange) []tokenep.Grant {
	grants := []tokenep.Grant{ClientCredentials{}}
	if len(exchange.Subjects) > 0 {
		grants = append(grants, exchange)
	}
	return grants
}

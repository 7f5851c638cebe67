package grant

import (
	"slices"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// list is every grant of this package, in the order of the metadata.
func list(o Offer) []tokenep.Grant {
	return []tokenep.Grant{o.ClientCredentials, o.AuthorizationCode, o.RefreshToken, o.Password, o.DeviceCode, o.TokenExchange, o.JWTBearer}
}

// Offer is the grants of a server.
type Offer struct {
	ClientCredentials ClientCredentials
	AuthorizationCode AuthorizationCode
	RefreshToken      RefreshToken
	Password          Password
	DeviceCode        DeviceCode
	TokenExchange     TokenExchange
	JWTBearer         JWTBearer

	// Users says that people can allow things: there are codes and refresh tokens.
	Users bool

	// Refreshes says that refresh tokens come of exchanges.
	Refreshes bool

	// Devices says that they can do so for devices.
	Devices bool
}

// All returns the grants that are offered. Token exchange needs a kind of token that can be
// exchanged.
func (o Offer) All() []tokenep.Grant {
	return slices.DeleteFunc(list(o), func(g tokenep.Grant) bool {
		switch g.(type) {
		case AuthorizationCode:
			return !o.Users
		case RefreshToken:
			return !o.Users && !o.Refreshes
		case DeviceCode:
			return !o.Devices
		case Password:
			return o.Password.SignIn == nil
		case TokenExchange:
			return len(o.TokenExchange.Subjects) == 0
		case JWTBearer:
			return len(o.JWTBearer.Assertions) == 0
		}
		return false
	})
}

// Types returns the grant_type of every grant of this package, offered or not.
func Types() []string {
	var types []string
	for _, g := range list(Offer{}) {
		types = append(types, g.Type())
	}
	return types
}

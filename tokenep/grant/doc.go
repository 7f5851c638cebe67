// Package grant is the ways to get a token at the token endpoint: one file for each grant, which is
// one section of one RFC.
//
//	all.go                 the list
//	client_credentials.go  a client acts for itself (RFC 6749 §4.4)
//	authorization_code.go  a user has allowed it, in a browser (RFC 6749 §4.1.3, RFC 7636)
//	refresh_token.go       and goes on allowing it (RFC 6749 §6)
//	device_code.go         a device that waits for a user (RFC 8628)
//	password.go            a user has told the client name and password (RFC 6749 §4.3)
//	token_exchange.go      one token for another (RFC 8693)
//	delegation.go          whether one may act for another (RFC 8693 §4.1, §4.4)
//	renewal.go             the same token, for longer (RFC 8693 §2.2.1)
//	exchanged.go           what the token that is exchanged hands down (RFC 8693 §2.2.1)
//	requested.go           what else is issued: refresh tokens and ID tokens (RFC 8693 §2.2.1)
//	jwt_bearer.go          an assertion of another issuer (RFC 7523 §2.1)
//
// A grant reads its own parameters and says what may be issued. It changes nothing, writes no
// response, signs nothing and authenticates no client: the phases of tokenep.TokenEndpoint do, in
// an order that no grant can change. What it wants to be spent it returns, as Authorization.Spend.
//
// ClientCredentials.Authorize is the shortest. TokenExchange.Authorize asks package subject what a
// token stands for, and combine makes one authorization of subject and actor.
package grant

// Package grant is the ways to get a token at the token endpoint: one file for each grant, which is one section of one RFC.
//
//	all.go                 the list
//	client_credentials.go  a client acts for itself (RFC 6749 §4.4)
//	token_exchange.go      one token for another (RFC 8693)
//
// A grant reads its own parameters and says what may be issued. It writes no response, signs nothing and authenticates no client: the phases
// of tokenep.Handler do that, in an order that no grant can change.
//
// Authorize is phase 5. ClientCredentials.Authorize is the shortest; TokenExchange.Authorize asks package subject what a token stands for, and
// combine makes one authorization of subject and actor.
package grant

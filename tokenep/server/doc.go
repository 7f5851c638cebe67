// Package server puts an authorization server together out of its parts: keys, state, client
// authentication, grants and endpoints.
//
//	server.go         what an issuer is made of, and its start
//	memory.go         what a new configuration takes over from the old one
//	check.go          what a configuration must be like, part by part
//	clients.go        the clients of the configuration and of the store, what they may ask for,
//	                  and what their assertions must be like
//	grants.go         the grants, and the kinds of token that can be exchanged
//	subjects.go       tokens that others have issued
//	apitokens.go      what API tokens users may have
//	apitoken_events.go what is told of them
//	leaked.go         credentials that were found where they should not be
//	apitoken_hash.go  those of other systems, and their salted hashes
//	authorization.go  what users allow: codes, refresh tokens, and the key of both
//	people.go         who signs in here, and who is disabled or gone
//	user_access.go    what a user has
//	devices.go        devices that wait for a user (RFC 8628)
//	registration.go   who may register a client, and what it may be (RFC 7591)
//	openid.go         ID tokens, and the rings of signing keys
//	possession.go     the keys that clients have, to which their tokens are bound
//	trust.go          verifiers of the server's own tokens
//	reach.go          what access tokens a configuration can lead to
//	guessing.go       guessing at secrets: the limit, and the comparison
//	mount.go          the table of endpoints, and where each of them is
//	health.go         whether the server can do its work
//	token_endpoint.go the token endpoint at one path, under its dialect
//	routes.go         which path leads to which handler, and from when on
//	revoke.go         which access tokens a revocation means
//
// There is no protocol here. A program without Caddy needs this package, a store, and
// http.ListenAndServe; the example is one. A grant or an endpoint from outside is an entry of
// Config.Grants or Config.Endpoints; package tokeneptest is for its tests.
//
// New checks a Config and does no I/O, Mount says which handler is at which path, Start loads the
// keys; requests that come before wait for it, unless Memory has what an earlier configuration
// knew.
package server

// Package oauthverify is the Caddy module http.handlers.oauth_verify, which passes on requests with
// a valid access token, over verify.Guard; and the modules that share its state.
//
//	handler.go            the handler
//	options.go            what a route asks of a request
//	caddyfile.go          the grammar of its directive
//	app.go                named policies, for many routes
//	policy.go             what a route has of one
//	resource_metadata.go  what clients are told about the resources
//	authorization.go      what goes to the upstream in the place of the token; its grammar is in
//	                      authorization_caddyfile.go
//	credential.go         how that is found
//	issuers.go            whom it trusts
//	reach.go              what it asks for that no client or request could have
//	behind.go             what behind it asks for what no token has
//	sites.go              whether it sees the requests that it is for, and leaves them a token
//	issuer.go             one that is elsewhere
//	introspection.go      which is asked about its opaque tokens
//	revocations.go        whose revocations are read in its store
//	mcp.go                operations of the Model Context Protocol
//	possession.go         keys of tokens; the grammar is in possession_caddyfile.go
//	shared.go             what handlers share, and what outlives a reload
//	error_body.go         the bodies of refusals, where they have one
//	decide.go             what a decision leads to: a log line, an error
//	identity.go           who was let in, as placeholders and in the context
//	matchers.go           requests by the token that was verified
//	authentication.go     a provider of Caddy's handler authentication
//	inspect.go            what a route would make of a token, for people
//	metrics.go            the counters
package oauthverify

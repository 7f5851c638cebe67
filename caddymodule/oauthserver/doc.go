// Package oauthserver is the Caddy app oauth_server: authorization servers, over package
// tokenep/server.
//
//	app.go          the app: its life, its servers by name
//	server.go       the configuration of one server, and the library's server made of it
//	client.go       the clients that are configured
//	secret.go       their secrets
//	password.go     the hashes of the passwords of users
//	certificates.go their TLS certificates
//	dpop.go         proofs that they have a key
//	signing.go      signing keys in files, and the keys that encrypt signing keys in the store
//	exchange.go     token exchange
//	api_tokens.go   the rules for API tokens
//	identity.go     who sits in front of a browser, and the rules for refresh tokens
//	user.go         what else is known of that person
//	subjects.go     where tokens of others come from, modules of oauth_server.subjects
//	users.go        where people and their passwords are known, modules of oauth_server.users
//	pages.go        how the pages look, and how long people stay signed in
//	device_code.go  devices that wait for a user
//	registration.go clients that register themselves
//	store.go        the store, a module of the namespace oauth_server.stores
//	follower.go     the revocations of a server in another process, in its store
//	extension.go    grants of other plugins, modules of the namespace oauth_server.grants
//	events.go       what happens to API tokens, for Caddy's events app
//	shared.go       what outlives a reload
//	check.go        what the library does not check
//	metrics.go      the counters of the token endpoint
//	metrics_store.go the verbs of the store, measured
//	metrics_state.go keys, revocations, caches and limiters, when somebody asks
//	*_caddyfile.go  the grammar of what is configured in the file of that name
//
// The handlers oauth_token and oauth_verify, and the admin API, find a server by its name: Lookup
// and App.Server. They ask Ready before they use it, since Caddy starts its apps in no particular
// order.
package oauthserver

// Package caddymodule is the plugin: it lets Caddy issue OAuth 2.0 tokens and enforce them.
//
//	directive       module ID                    files                     does what
//	oauth_server    oauth_server                 app.go, server.go,        an issuer, over tokenep/server
//	(global)                                     client.go, secret.go,
//	                                             signing.go
//	oauth_token     http.handlers.oauth_token    token.go                  serves the endpoints of an issuer
//	oauth_verify    http.handlers.oauth_verify   verify.go, trust.go,      lets pass who has a good token, over verify.Guard
//	                                             decide.go
//	store memory    oauth_server.stores.memory   stores.go                 tokenep/store/memory
//	store bolt      oauth_server.stores.bolt     stores.go                 tokenep/store/bolt
//	store redis     oauth_server.stores.redis    stores_redis.go,          tokenep/store/redis
//	                                             stores_secret.go
//	store postgres  oauth_server.stores.postgres stores_postgres.go,       tokenep/store/postgres
//	                                             stores_secret.go
//	                admin.api.oauth_server       admin.go, admin_*.go      management while the server runs
//	                (caddy oauth …)              command.go, command_*.go  the same, from the command line
//
// Beside each x.go that is configured stands x_caddyfile.go, with the grammar; caddyfile.go is how a line of it is read, check.go what the libraries do not check. register.go has every
// registration, shared.go what outlives a reload, metrics.go the counters.
//
// There is no protocol here: configuration comes in, an http.Handler goes out. RFC sections are named in packages tokenep and verify.
//
// # From configuration to request
//
// The Caddyfile becomes JSON, in which literal secrets are hashes already. Provision resolves placeholders, reads key set files, checks
// everything and puts the parts together, but writes nothing and makes no keys, since it runs for "caddy validate" and for reloads that fail.
// Start opens the store and loads the keys, or makes them. A request that comes before that waits; after a reload it need not, since the new configuration
// has from the old one what that had in memory.
package caddymodule

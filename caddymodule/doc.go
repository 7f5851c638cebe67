// Package caddymodule is the plugin: it lets Caddy issue OAuth 2.0 tokens and enforce them. It is what
// xcaddy builds; imports.go names the modules, each of which has a package of its own.
//
//	directive       module ID                     package                   what it does
//	oauth_server    oauth_server                  oauthserver               an issuer, over tokenep/server
//	(global)
//	oauth_token     http.handlers.oauth_token     oauthtoken                serves the endpoints of an issuer
//	oauth_verify    http.handlers.oauth_verify    oauthverify               lets pass whoever has a good token,
//	                                                                        over verify.Guard
//	store memory    oauth_server.stores.memory    oauthstore/memorystore    tokenep/store/memory
//	store bolt      oauth_server.stores.bolt      oauthstore/boltstore      tokenep/store/bolt
//	store redis     oauth_server.stores.redis     oauthstore/redisstore     tokenep/store/redis
//	store postgres  oauth_server.stores.postgres  oauthstore/postgresstore  tokenep/store/postgres
//	                admin.api.oauth_server        oauthadmin                management while the server runs
//	                (caddy oauth …)               oauthadmin                the same, from the command line
//
// A program that imports some of these packages instead of this one links only what they need:
// oauthserver imports neither a store nor a handler. internal/adapt is what they share.
//
// There is no protocol here: configuration comes in, an http.Handler goes out. RFC sections are named
// in packages tokenep and verify.
//
// # From configuration to request
//
// The Caddyfile becomes JSON, in which literal secrets are hashes already. Provision resolves
// placeholders, reads key set files, checks everything and puts the parts together, but writes nothing
// and makes no keys, since it runs for "caddy validate" and for reloads that fail. Start opens the
// store and loads the keys, or makes them. A request that comes before that waits. After a reload it
// need not, since the new configuration takes over what the old one had in memory.
package caddymodule

// Package caddymodule is the plugin: it lets Caddy issue OAuth 2.0 tokens and enforce them. It is
// what xcaddy builds; imports.go names the modules, each of which has a package of its own.
//
//	directive       module ID                     package
//	oauth_server    oauth_server                  oauthserver: issuers, over tokenep/server
//	(global)
//	oauth_token     http.handlers.oauth_token     oauthtoken: serves the endpoints of an issuer
//	oauth_verify    http.handlers.oauth_verify    oauthverify: passes on requests that have a
//	                                              valid token, over verify.Guard
//	oauth_verify    oauth_verify                  oauthverify: named policies, for many routes
//	(global)
//	oauth_resource_metadata                       oauthverify: what clients are told about the
//	                http.handlers.oauth_resource_metadata
//	                                              resources that are protected
//	oauth_scope     http.matchers.oauth_scope     oauthverify: requests whose token has a scope
//	oauth_claim     http.matchers.oauth_claim     oauthverify: requests whose token has a claim
//	                http.authentication.providers.oauth_verify
//	                                              oauthverify, for Caddy's handler authentication
//	store memory    oauth_server.stores.memory    oauthstore/memorystore, over
//	                                              tokenep/store/memory
//	store bolt      oauth_server.stores.bolt      oauthstore/boltstore, over tokenep/store/bolt
//	store redis     oauth_server.stores.redis     oauthstore/redisstore, over tokenep/store/redis
//	store postgres  oauth_server.stores.postgres  oauthstore/postgresstore, over
//	                                              tokenep/store/postgres
//	users inline    oauth_server.users.inline     oauthuser/inlineusers, over tokenep/user/hashed
//	users htpasswd  oauth_server.users.htpasswd   oauthuser/htpasswdusers, over
//	                                              tokenep/user/htpasswd
//	users http      oauth_server.users.http       oauthuser/httpusers, over tokenep/user/httpcheck
//	users ldap      oauth_server.users.ldap       oauthuser/ldapusers, over
//	                                              tokenep/user/directory
//	subject jwt     oauth_server.subjects.jwt     oauthsubject/jwtsubjects, over tokenep/subject
//	subject id_jag  oauth_server.subjects.id_jag  oauthsubject/idjagsubjects, likewise
//	subject spiffe  oauth_server.subjects.spiffe  oauthsubject/spiffesubjects, likewise
//	subject http    oauth_server.subjects.http    oauthsubject/httpsubjects, over tokenep/subject
//	subject introspection                         oauthsubject/introspectionsubjects, likewise
//	                oauth_server.subjects.introspection
//	subject kubernetes                            oauthsubject/kubernetessubjects, likewise
//	                oauth_server.subjects.kubernetes
//	grant …         oauth_server.grants.…         of other plugins: see oauthserver.Extension
//	                admin.api.oauth_server        oauthadmin: management while the server runs
//	                (caddy oauth …)               oauthadmin: the same, from the command line
//
// A program that imports some of these packages instead of this one links only what they need:
// oauthserver imports neither a store nor a handler. oauthissuer and internal/adapt are what they
// share: an issuer elsewhere, and how configuration is read.
//
// There is no protocol here: configuration comes in, an http.Handler goes out. RFC sections are
// named in packages tokenep and verify.
//
// # From configuration to request
//
// Adapting a Caddyfile to JSON hashes literal secrets. Provision resolves placeholders, reads key
// set files, checks everything and puts the parts together. It writes nothing and generates no
// keys, since it also runs for "caddy validate" and for reloads that fail. Start opens the store,
// and loads the keys or generates them. A request that comes earlier waits. After a reload no
// request waits, since the new configuration takes over what the old one had in memory.
package caddymodule

// Package oauthadmin manages authorization servers while they run: the Caddy module
// admin.api.oauth_server, and the command "caddy oauth", which calls it.
//
//	api.go          the routes, and what is common to them
//	error.go        which error has which status
//	api_tokens.go   API tokens
//	api_tokens_import.go  those of other systems
//	backup.go       a copy of the store
//	clients.go      clients
//	consents.go     what users have allowed clients
//	policies.go     what the policies would make of a token of others
//	inspect.go      what a token says, and whether it is accepted
//	keys.go         signing keys
//	revocations.go  revoked tokens
//	users.go        users, and the browsers in which they have signed in
//	command.go      the command, and what its subcommands share
//	completion.go   what shells offer for flags and arguments
//	secret_patterns.go  regular expressions for secret scanners
//	option.go       flags for the fields of a structure of the library, and what is wrong with
//	                flags
//	command_*.go    one subcommand each, and what they need: requests to the admin API
//	                (command_admin.go) and to the token endpoint (command_fetch.go), reading
//	                a secret (command_secret.go),
//	                the file of a store (command_config.go),
//	                and what a log says (command_trace.go)
package oauthadmin

// Package inlineusers is the Caddy module oauth_server.users.inline, over package
// tokenep/user/hashed.
//
//	users.go            the module
//	users_caddyfile.go  its grammar
package inlineusers

// Package httpusers is the Caddy module oauth_server.users.http, over package
// tokenep/user/httpcheck.
//
//	users.go            the module
//	users_caddyfile.go  its grammar
package httpusers

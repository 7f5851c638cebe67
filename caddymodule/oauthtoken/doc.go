// Package oauthtoken is the Caddy module http.handlers.oauth_token, which serves the endpoints of
// an authorization server.
//
//	handler.go    the handler
//	caddyfile.go  the grammar of its directive
package oauthtoken

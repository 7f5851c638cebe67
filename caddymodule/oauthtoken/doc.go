// Package oauthtoken is the Caddy module http.handlers.oauth_token, which serves the endpoints of
// an authorization server.
//
//	handler.go         the handler
//	token_endpoint.go  the options of one path of the token endpoint, and the dialects
//	caddyfile.go       the grammar of its directive
//	reach.go           whether requests come to the endpoints, by the sites of the configuration
package oauthtoken

// Package jwtsubjects is the Caddy module oauth_server.subjects.jwt: the JWTs of another issuer as
// subject tokens (RFC 8693) and as assertions (RFC 7523 §2.1).
//
//	subject.go            the module
//	subject_caddyfile.go  its grammar
package jwtsubjects

// Package httpsubjects is the Caddy module oauth_server.subjects.http: sessions and keys of another
// application as subject tokens (RFC 8693), over subject.HTTPCheck.
//
//	subject.go            the module
//	subject_caddyfile.go  its grammar
package httpsubjects

// Package introspectionsubjects is the Caddy module oauth_server.subjects.introspection: opaque
// tokens of another authorization server as subject tokens (RFC 8693), over subject.Introspection.
//
//	subject.go            the module
//	subject_caddyfile.go  its grammar
package introspectionsubjects

// Package spiffesubjects is the Caddy module oauth_server.subjects.spiffe: the JWT-SVIDs of a
// SPIFFE trust domain, by which workloads are known, as subject tokens (RFC 8693) and as assertions
// (RFC 7523 §2.1).
//
//	subject.go            the module
//	subject_caddyfile.go  its grammar
package spiffesubjects

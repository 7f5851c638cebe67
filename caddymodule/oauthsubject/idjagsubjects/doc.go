// Package idjagsubjects is the Caddy module oauth_server.subjects.id_jag: identity assertion
// authorization grants of an enterprise's identity provider, for the grant JWT bearer.
//
//	subject.go            the module
//	subject_caddyfile.go  its grammar
package idjagsubjects

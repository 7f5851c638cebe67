// Package endpoint is the endpoints beside the token endpoint: one file for each, which is one RFC.
// Each file makes one row of the server's table, a tokenep.Endpoint.
//
//	all.go       the names of the endpoints
//	jwks.go      the public keys (RFC 7517 §5)
//	metadata.go  what this server can do (RFC 8414, OpenID Connect Discovery 1.0 §4)
//	revoke.go    a token that is no longer wanted (RFC 7009)
//
// The wrapper of all rows is tokenep.Front: it answers CORS, refuses other methods, reads the form,
// authenticates the client, writes, logs and counts. The table and the paths are in package server.
package endpoint

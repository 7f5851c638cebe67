// Package endpoint is the endpoints beside the token endpoint: one file for each, which is one RFC.
//
//	jwks.go      the public keys (RFC 7517 §5)
//	metadata.go  what this server can do (RFC 8414, and the same document where OpenID Connect Discovery 1.0 §4 looks for it)
//	revoke.go    a token that is no longer wanted (RFC 7009)
//
// It does not say at which paths they are, nor wait for keys: package server does. The token endpoint itself is tokenep.Handler.
//
// Each goes through tokenep.Methods, which answers CORS and refuses other methods. Two then only read; Revocation.ServeHTTP is the one
// with a way of its own, like that of the token endpoint: form, client, token, answer.
package endpoint

// Package endpoint is the endpoints beside the token endpoint: one file for each, which is one RFC.
//
//	jwks.go      the public keys (RFC 7517 §5)
//	metadata.go  what this server can do (RFC 8414, and the same document where OpenID Connect Discovery 1.0 §4 looks for it)
//	revoke.go    a token that is no longer wanted (RFC 7009)
package endpoint

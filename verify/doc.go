// Package verify checks OAuth 2.0 bearer tokens: JWT access tokens as RFC 9068
// describes them, signed with a key of a trusted issuer.
//
// It is a leaf: it knows net/http and nothing of the proxy around it. A Guard
// is HTTP middleware; a Verifier alone is enough where the token comes from
// elsewhere.
//
//	keys := verify.NewFileKeys("/etc/idp/jwks.json", verify.FileKeysOptions{})
//	verifier, err := verify.New(verify.Config{
//		Issuers: []verify.TrustedIssuer{{Name: "https://idp.example", Keys: keys, Audience: []string{"https://api.example"}}},
//		Cache:   verify.NewCache(10_000, nil),
//		Leeway:  30 * time.Second,
//	})
//	guard := &verify.Guard{Verifier: verifier, Scope: verify.Scope{"orders:read"}}
//	http.Handle("/orders", guard.Handler(orders))
//
// # What it is not
//
// It fetches nothing: a token cannot make it open a connection, and key sets
// come from the process or from a file. It takes no HMAC, no encrypted tokens,
// no opaque tokens, and no tokens bound to a key of their holder (cnf), which
// would be worth stealing if they were taken for bearer tokens. It does not
// check ID tokens.
//
// # The path of a token
//
//	guard.go        a request: strip headers · extract · verify · scope · set headers · next
//	headers.go      what a client must not send, under any spelling
//	bearer.go       where in the request the token is (RFC 6750 §2)
//	verifier.go     the configuration, and the run over the checks
//	cache.go        seen before? then its bytes, signature and claims are proven
//	checks.go       the list of checks, in order, one a line: start reading here
//	compact.go      three parts, canonical base64url, header (RFC 7515)
//	json.go         JSON that can be read in one way only
//	claims.go       payload to Token (RFC 7519)
//	signature.go    ES, RS, PS, EdDSA over the standard library (RFC 7518, RFC 8037)
//	revoked.go      tokens taken back
//	headerclaim.go  claims on their way to the upstream
//	error.go        the answer: 400, 401, 403 or 503, and its challenge
//
// Beside it: token.go and scope.go say what a verified token is; keyset.go,
// jwk.go, filekeys.go and ed25519.go are the keys; private.go marks responses to
// tokens in the query (RFC 6750 §2.3).
// Package verifytest is an issuer for tests of programs that verify.
//
// # What holds
//
// The parser comes first, and is strict: one token has one spelling and one
// meaning, so that nobody behind can read it otherwise. The key decides the
// algorithm, never the token. Of a token whose signature is unproven nothing
// is used but iss, to find the issuer's keys. The cache holds facts and no
// decisions. When keys cannot be had the answer is 503, since a 401 makes
// clients throw good tokens away.
package verify

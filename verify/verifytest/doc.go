// Package verifytest is an issuer of access tokens for the tests of programs that verify them with
// package verify.
//
//	issuer := verifytest.New("https://idp.example", "https://api.example")
//	guard := &verify.Guard{Verifier: issuer.Verifier()}
//	issuer.Authorize(request, verifytest.Claims{"sub": "alice", "scope": "orders:read"})
//
// It signs what an honest issuer would and, with options, what none would: wrong headers, ambiguous
// JSON, signatures of other keys. Its functions panic on errors after which a test cannot go on.
//
// It must not be used in production: keys live as long as the process, and every claim that is
// asked for is signed.
//
//	verifytest.go  the issuer: New, Sign, JWKS, Verifier
//	options.go     ways to be dishonest
//	prover.go      a client with a key for DPoP proofs (RFC 9449)
//	key.go         keys and signatures
//	clock.go       a clock that a test sets
package verifytest

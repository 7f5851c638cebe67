// Package verifytest is an issuer of access tokens for the tests of programs
// that verify them with package verify.
//
//	issuer := verifytest.New("https://idp.example", "https://api.example")
//	guard := &verify.Guard{Verifier: issuer.Verifier()}
//	issuer.Authorize(request, verifytest.Claims{"sub": "alice", "scope": "orders:read"})
//
// It signs what an honest issuer would, and, with options, what none ever
// would: wrong headers, JSON that says two things, signatures of other keys.
// Its functions panic where a test could not go on anyway.
//
// It is no issuer for production: keys live as long as the process, and
// whoever asks for a claim gets it.
//
//	verifytest.go  the issuer: New, Sign, JWKS, Verifier
//	options.go     ways to be dishonest
//	key.go         keys and signatures
//	clock.go       a clock that only tests move
package verifytest

// Package upstream has the credentials that take the place of an access token on its way to an
// application behind a verify.Guard: each constructor makes a verify.Replacement's Credential.
//
//	minted.go   a short token of this server, for that application alone (RFC 9068)
//	fetched.go  a token of another server: by token exchange (RFC 8693), or for an ID-JAG
//	asked.go    what a program says that a person has there, asked over HTTP
//	table.go    what a file says that a person has there
//	form.go     how it is written: Basic (RFC 7617), or behind another scheme
//	kept.go     what is remembered of these, and who waits for one that is on its way
//	obtained.go what the log says of them
//
// # What always holds
//
// A credential is kept under the hash of all that it was made for: the bytes of the token, or the
// issuer and the subject. It is never good for longer than the token. While nobody knows it the
// answer is 503, or 502 where an answer makes no sense; where there is none it is 403.
package upstream

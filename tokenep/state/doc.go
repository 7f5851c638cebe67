// Package state is what the server remembers, typed, and written once over the five verbs of
// [store.Store]: which clients there are, which API tokens, refresh tokens and codes are good,
// which access tokens are no longer.
//
// It is no engine and no policy. Where the bytes lie is the business of package store; who may ask
// for what is decided by the pipeline in package tokenep. What is decided here is whatever must
// hold when two requests come at once, or when the process dies between two writes. Nothing here
// needs a transaction over two records: each function says in which order it writes, and what a
// crash in between leaves behind.
//
//	clients.go          clients that were made at run time (RFC 6749 §2)
//	apitokens.go        API tokens: made, redeemed, listed, rotated, revoked
//	apitoken_rotate.go  one API token for another
//	apitoken_record.go  the record of an API token, and what may be in it
//	apitoken_format.go  the text of an API token, and its checksum
//	apitoken_owner.go   how many API tokens an owner has, exactly
//	families.go         refresh tokens: started, rotated, reused, revoked (RFC 6749 §6, RFC 9700 §4.14.2)
//	family_token.go     the text of a refresh token, and its MAC
//	refresh_key.go      the key of that MAC, made once and kept, sealed where the server has an encryption key
//	codes.go            authorization codes: issued, redeemed once (RFC 6749 §4.1.2)
//	devices.go          devices that wait for a user (RFC 8628)
//	user_code.go        the text of a user code, and what people make of it
//	seen.go             ids of what is good once (RFC 7523 §3, RFC 9449 §11.1)
//	revocations.go      the log of revoked access tokens (RFC 7009 §2.1): written to, and followed by each node
//	revocation_log.go   its records, and catching up with them
//	change.go           one conditional write: load, decide, replace exactly that version, or begin anew
//	errors.go           what a caller can do something about
//
// No secret that a client could present is ever stored, only its SHA-256; that is enough, as
// secrets are generated here and have 256 bits, so that there is nothing to guess. The key of the
// MACs of refresh tokens may be in the store, sealed like the signing keys (package seal), and
// makes no token by itself. No row is kept for an access token.
//
// The way through it: [Codes.Redeem] is what happens when a user has signed in, [Families.Rotate]
// what happens from then on. Read them first, then [APITokens.Redeem], which is what a token
// exchange does, then [Revocations].
package state

// Package state is what the server remembers, typed, and written once over the
// five verbs of [store.Store]: which clients there are, which API tokens are
// good, which access tokens are no longer.
//
// It is no engine and no policy. Where the bytes lie is the business of package
// store; who may ask for what is decided by the pipeline in package tokenep.
// What is decided here is whatever must hold when two requests come at once, or
// when the process dies between two writes. Nothing here needs a transaction
// over two records: each function says in which order it writes, and what a
// crash in between leaves behind.
//
//	clients.go          clients that were made at run time (RFC 6749 §2)
//	apitokens.go        API tokens: made, redeemed, listed, rotated, revoked
//	apitoken_rotate.go  one API token for another
//	apitoken_record.go  the record of an API token, and what may be in it
//	apitoken_format.go  the text of an API token, and its checksum
//	apitoken_owner.go   how many API tokens an owner has, exactly
//	revocations.go      the log of revoked access tokens (RFC 7009 §2.1): written to, and followed by each node
//	revocation_log.go   its records, and catching up with them
//	errors.go           what a caller can do something about
//
// No secret that a client could present is ever stored, only its SHA-256; that
// is enough, as secrets are generated here and have 256 bits, so that there is
// nothing to guess. No row is kept for an access token.
//
// The way through it: [APITokens.Redeem] is what a token exchange does. Read it
// first, then [APITokens.Create], then [Revocations].
package state

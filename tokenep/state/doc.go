// Package state is what an authorization server remembers, typed, over the five verbs of
// [store.Store]: which API tokens, refresh tokens, codes and device codes are good, which ids were
// seen, and which access tokens were revoked.
//
// It is neither an engine nor a policy. How bytes are stored is the business of package store; who
// may ask for what is decided by the pipeline in package tokenep, of which this package imports
// nothing. What is decided here is whatever must hold when two requests come at once, or when the
// process dies between two writes. Nothing here needs a transaction over two records: each function
// says in which order it writes, and what a crash in between leaves behind.
//
//	version.go          Check and Spend: what was checked, and the one conditional write of it
//	codes.go            authorization codes, each good for one use (RFC 6749 §4.1.2)
//	families.go         refresh tokens: started, checked, rotated (RFC 6749 §6, RFC 9700 §4.14.2)
//	family_exchanged.go  what a family came of that no sign-in began (RFC 8693 §2.2.1)
//	family_revoke.go    the end of a family and of its access tokens
//	family_token.go     the text of a refresh token, and its MAC
//	refresh_key.go      the key of that MAC, made once, sealed where there is an encryption key
//	devices.go          devices that wait for a user (RFC 8628)
//	device_poll.go      a device's polls, and the spend of its code
//	user_code.go        the text of a user code, and what people make of it
//	pushed.go           authorization requests that were pushed (RFC 9126)
//	consents.go         what people have allowed clients, and what came of it
//	users.go            what is known of people beside their names, and who is disabled
//	sessions.go         the browsers in which people have signed in
//	consent_revoke.go   consents listed and revoked
//	seen.go             ids that are good for one use (RFC 7523 §3, RFC 9449 §11.1)
//	apitokens.go        API tokens: made, and listed
//	apitoken_use.go     their exchange: checked, and then counted
//	apitoken_uses.go    uses that are not written yet
//	apitoken_import.go  tokens that another system has handed out
//	apitoken_imported.go  how these are found
//	apitoken_leaked.go  those that were found where they should not be
//	apitoken_event.go   what is told of API tokens
//	apitoken_watch.go   those that expire are looked for
//	apitoken_roll.go    another secret for an API token
//	apitoken_revoke.go  the end of an API token and of its access tokens
//	apitoken_record.go  the record of an API token, and its limits
//	apitoken_format.go  the text of an API token, and its checksum
//	apitoken_owner.go   the exact number of API tokens that an owner has
//	revocations.go      the log of revoked access tokens (RFC 7009 §2.1), followed by each node
//	revocation_log.go   the records of that log, and catching up with them
//	revocation_reader.go  the same for a process that only reads it
//	revocation_own.go   the room in that log for those who revoke their own tokens
//	chain.go            since when chains of exchanges may last so long (RFC 8693)
//	clock.go            times as records have them
//	errors.go           the errors that a caller can do something about
//
// No secret that a client could present is stored, only its SHA-256. That is enough: secrets are
// generated here and have 256 bits, so that there is nothing to guess. The key of the MACs of
// refresh tokens may be in the store, sealed like the signing keys (package seal); it makes no
// token by itself. No record is kept for an access token.
//
// The way through it: a request looks first and spends last. Check says what a credential is good
// for and changes nothing, so that a request that is refused afterwards, for its scope or its
// audience, has used up nothing. Spend, as the last step, replaces exactly the version that was
// checked. Start with [Version], then read [Codes], which is what happens when a user has signed
// in, [Families], what happens from then on, and [APITokens], whose Check is what a token exchange
// does. [Revocations] is how all of them end the access tokens that they gave.
package state

// Package keys holds the keys that sign access tokens, and turns them over.
//
// A verifier caches the key set, so a key must be published before it signs and
// stay published after it has stopped. Each key therefore goes one way:
//
//	next      published, signs nothing yet          at least max(1 h, 2 × max-age)
//	active    published, signs; there is one        Options.Active, 30 days by default
//	retired   published, signs nothing any more     until every token it signed is dead
//	gone
//
// The whole ring is one record of the store. A rotation is one compare-and-swap
// of it, so several processes on one store rotate once: the others meet a
// conflict, load the record again and find that nothing is due.
//
// The path through the package: Start (ring.go) loads or makes the ring and
// calls Refresh each minute; Refresh loads the record, asks due (turn.go) what
// the clock demands, swaps the result in and hands readers a new snapshot.
// Active, Key and JWKS read that snapshot without a lock. Only a kid that it does
// not know has Key load the record out of turn (look.go).
//
//	ring.go       Options, New, Start, Refresh, Rotate
//	read.go       Active, Key, JWKS, List: what a request reads
//	look.go       the store asked for a key that another process put in use
//	lost.go       keys that the store has lost, and another process has replaced
//	turn.go       the transitions, as functions of the clock alone
//	withdraw.go   dropping a key that others may have
//	given.go      keys of the configuration, in the place of a ring of its own
//	inherit.go    keys of the configuration before, until the store is read
//	file.go       reading one of those from PEM or a JWK
//	record.go     the stored form
//	seal/         its encryption (AES-256-GCM)
//	key.go        one key: id, JOSE header, signature
//	algorithm.go  the algorithms, a line each
//	ecdsa.go      ASN.1 signatures to the fixed width that JOSE wants
//
// It is not a verifier of tokens (package verify), and signs with no symmetric key.
package keys

// Package keys holds the keys that sign tokens, and rotates them.
//
// A verifier caches the key set, so a key must be published before it signs and stay published
// after it has stopped. Each key therefore goes through these states:
//
//	next      published, has signed nothing       for at least max(1 h, 2 × MaxAge)
//	active    published, signs; there is one      for Options.Active, 30 days by default
//	retired   published, signs no more            until all tokens that it signed have expired
//	gone
//
// The ring is one record of the store. A rotation is one compare-and-swap of it, so several
// processes over one store rotate once: the others meet a conflict, load the record again and find
// that nothing is due.
//
// Read the package in this order:
//
//	key.go        Key: id, JOSE header, signature
//	algorithm.go  the algorithms, a line each
//	ecdsa.go      ASN.1 signatures to the fixed width that JOSE requires
//	file.go       ReadFile: a key from PEM or a JWK
//
//	entry.go      a key and its history, which is its State
//	schedule.go   what becomes of the keys: due, rotate, withdraw, as functions of the time
//	set.go        Set: all keys at one moment, computed for readers
//	record.go     the ring as the store has it
//	seal/         its encryption (AES-256-GCM)
//
//	options.go    Options
//	ring.go       Ring: the current Set, replaced each minute and by an operator
//	own.go        a source of keys: the stored ring; load, decide, swap
//	lost.go       what own does when the store has lost its record
//	given.go      the other source: keys that the configuration gives
//	inherit.go    keys of the configuration before, until the store has been read
//	lookup.go     reading the store for a kid that is unknown here
//
// A request reads the current Set and takes no lock. The package does not verify tokens (package
// verify does), and has no symmetric keys.
package keys

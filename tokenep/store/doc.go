// Package store is the contract between an authorization server and a database: five verbs on
// opaque, versioned records.
//
// Everything that the server remembers (authorization codes, refresh-token families, API tokens,
// clients, keys) is a [Record], and everything that must happen only once is a [Store.Swap], a
// compare-and-swap whose result is checked. That is how RFC 6749 §4.1.2 ("the client MUST NOT use
// the authorization code more than once"), §10.4 and §10.5 are met. It is written once, in package
// state: a new kind of state touches no engine, and a new engine touches no grant.
//
// It is not a cache, not a query language and not a place for access tokens: a JWT is verified
// without it, so that a call of an API reads and writes nothing here. It knows no type of state,
// and decides nothing about expiry.
//
//	store.go    the contract: Record, Store, the errors, the limits
//	storetest/  the contract as a test, which each engine runs
//	memory/     in this process, lost with it: for tests, and servers that may forget
//	bolt/       one file on a local disk, durable at each answer: the default
//	redis/      Redis or Valkey, alone or a cluster, for several processes
//	postgres/   a table of PostgreSQL, for several processes
//	internal/   what engines have in common
//
// Read [Store] first, then the engine memory, which does the same in the fewest lines.
package store

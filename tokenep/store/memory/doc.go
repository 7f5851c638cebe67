// Package memory is a store.Store in this process, over go-cache.
//
// It is for tests, where it is the fake, and for a server that may forget all
// it knows when it stops: refresh tokens, API tokens and generated keys go with
// it. It is not shared between processes, and not durable.
//
//	memory.go  the five verbs, the lock, the cap
//	garbage.go which record expires next
//	order.go   the ids of a kind in order, for List
//
// Load is the short way: read memory.go down to it. Swap is the other half: it
// compares and writes under the one lock, which go-cache alone cannot do.
package memory

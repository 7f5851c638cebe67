// Package memory is a store.Store in this process, over go-cache.
//
// It is for tests, as the fake of every other engine, and for a server that may forget everything
// when it stops: refresh tokens, API tokens and generated keys are lost. It is not shared between
// processes, and not durable.
//
//	memory.go  the five verbs, the lock, the cap
//	garbage.go which record expires next
//	order.go   the ids of a kind in order, for List
//
// Read memory.go down to Load, and then Swap, which compares and writes under one lock: go-cache
// alone cannot do that.
package memory

// Package storetest is the contract of store.Store as a test: what passes it
// may be used as a store.
//
// An engine calls Run from a test of its own, and RunShared if several processes
// can use it. Each rule is a sentence of the contract, and a failure prints it.
// What is an engine's own promise is tested beside the engine.
//
//	storetest.go   Run and the list of rules
//	verbs.go       one caller: what each verb answers
//	bounds.go      ids, data and limits
//	concurrent.go  many callers
//	expiry.go      records that end
//	model.go       random sequences of verbs against a plain map
//	soak.go        RunSoak: a day of traffic, and what is left of it
//	sweep.go       RunSweep: verbs beside the deletion of very much; and that it is done unasked
//	shared.go      RunShared: two handles on one database, as two machines have them
//	database.go    Database: what the next three need of a database server
//	away.go        RunAway: what verbs say while it is away; and other rules of engines that have one
//	silent.go      RunSilent: what becomes of callers when it hangs
//	killed.go      RunKilled: what its kill -9 leaves
//	rounds.go      Rounds: how long a test goes on that never is long enough
//	bench.go       Bench: the verbs in turns with what the engine can do at the most
//	faulty.go      Faulty: a store that fails as engines do, for those who use one
//	servertest/    real servers for such tests
package storetest

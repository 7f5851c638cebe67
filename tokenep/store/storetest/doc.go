// Package storetest is the contract of store.Store as a test: a type that passes it can be used as
// a store.
//
// An engine calls Run from a test of its own, and RunShared if several processes can use it. Each
// rule is a sentence of the contract, and a failure prints it. What an engine promises beyond the
// contract is tested beside the engine.
//
//	storetest.go   Run and the list of rules
//	verbs.go       one caller: what each verb answers
//	bounds.go      ids, data and limits
//	concurrent.go  many callers
//	expiry.go      records that end
//	model.go       random sequences of verbs against a plain map
//	soak.go        RunSoak: a day of traffic, and what it leaves
//	sweep.go       RunSweep: verbs during a large sweep; RunSweepsItself
//	shared.go      RunShared: two handles on one database, like two machines
//	database.go    Database: what the next three need of an engine's database
//	away.go        RunAway: verbs while it is unavailable; and other rules of such engines
//	silent.go      RunSilent: callers while it hangs
//	killed.go      RunKilled: what a kill -9 of it leaves
//	rounds.go      Rounds: how often a test of random moments is repeated
//	bench.go       Bench: the verbs in turns with the fastest that the engine can do
//	faulty.go      Faulty: a store that fails like an engine, for tests of its users
//	servertest/    processes of database servers for such tests
package storetest

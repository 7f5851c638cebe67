// Package servertest starts private database servers for tests: on a free port
// of the loopback interface, with their files in a temporary folder, and gone
// with the test.
//
// It is for tests that must see the real thing: what a server does when it is
// killed, or away, no imitation tells. Who runs the tests has to have
// the servers' binaries; without them a test is skipped, and with CI=true fails.
//
//	process.go       Process: start, stop, kill, start again
//	shared.go        Shared: one for most tests of a package
//	redis.go         Redis
//	cluster.go       a cluster of Redis
//	postgres.go      PostgreSQL
//	tls.go           certificates for them
//	signal_unix.go   processes, where they can be stopped and run as another user
//	signal_other.go  and where they cannot
package servertest

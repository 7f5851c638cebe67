// Package servertest starts private database servers for tests: on a free port of the loopback
// interface, with their files in a temporary directory, until the test ends.
//
// It is for tests of what only the real database shows: what happens when it is killed, or
// unreachable. The binaries have to be installed; without them a test is skipped, or fails with
// CI=true.
//
//	process.go       Process: start, stop, kill, start again
//	shared.go        Shared: one Process for most tests of a package
//	redis.go         Redis
//	cluster.go       a cluster of Redis
//	postgres.go      PostgreSQL
//	reader.go        a user of either who only reads
//	figures.go       what they count of their work
//	slapd.go         an LDAP directory
//	tls.go           certificates for them
//	signal_unix.go   signals and users, on Unix
//	signal_other.go  and elsewhere
package servertest

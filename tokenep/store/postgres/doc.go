// Package postgres keeps records in one table of PostgreSQL: for several
// servers that share their state.
//
// A Swap is an UPDATE with the version in its condition, and one row or none is
// its result. That is enough at READ COMMITTED: of two at once the second waits
// for the first, looks at the condition again, and finds another version. No verb
// needs a transaction of more than one statement.
//
// What was answered is in the database's log, as long as synchronous_commit is
// what it is by default. After a fail-over to an asynchronous standby the last
// writes may be lost; synchronous_standby_names says whose answer is waited for.
// The connection string may name several hosts, and with
// target_session_attrs=read-write the one is used that takes writes.
//
// The table is made by the first verb of the first server, which needs the
// right to do so, in the schema that is first in the search_path. Behind a pooler
// that gives each transaction another connection, add default_query_exec_mode=exec.
//
//	postgres.go    Open, Options, and how a verb fails
//	verbs.go       the verbs
//	migrate.go     the schema, in migrations/, and its version
//	sweep.go       deleting what has expired
package postgres

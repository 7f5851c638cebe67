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
// target_session_attrs=read-write the one is used that takes writes. A server
// that takes no more of them is left for it at once, also if it keeps the connections.
//
// The table is made by the first verb of the first server, in the schema that is
// first in the search_path. A role that owns a schema of its own needs no more
// than that; one that may make nothing finds the table of another who has been
// there, and needs
//
//	GRANT SELECT ON oauth_schema TO oauth
//	GRANT SELECT, INSERT, UPDATE, DELETE ON oauth_records TO oauth
//
// sslmode=verify-full and sslrootcert in the connection string have the server
// show a certificate; what is less than verify-full believes anybody.
//
// Behind a pooler that gives each transaction another connection, such as
// PgBouncer with pool_mode=transaction, add default_query_exec_mode=exec, so that
// nothing is prepared. The rest fits: each verb is one statement, and the schema
// is made in one transaction, whose lock ends with it.
//
//	postgres.go    Open, Options, and how a verb fails
//	verbs.go       the verbs
//	migrate.go     the schema, in migrations/, and its version
//	sweep.go       deleting what has expired
package postgres

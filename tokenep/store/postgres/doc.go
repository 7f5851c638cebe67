// Package postgres keeps records in one table of PostgreSQL: for several processes that share their
// state.
//
// A Swap is an UPDATE with the version in its condition, which changes one row or none. READ
// COMMITTED suffices for that: of two concurrent Swaps the second waits for the first, evaluates
// the condition again, and finds another version. No verb needs a transaction of more than one
// statement.
//
// An acknowledged write is in the database's log, with the default of synchronous_commit. A
// fail-over to an asynchronous standby may lose the last writes; synchronous_standby_names makes
// writes wait for a standby. The connection string may name several hosts, and with
// target_session_attrs=read-write the one that accepts writes is used. A database server that
// becomes read-only is left at once, even if it keeps the connections open.
//
// The first verb of the first process creates the table, in the first schema of the search_path. A
// role that owns a schema of its own needs no other rights. A role that may not create tables can
// use one that another role has created, and needs
//
//	GRANT SELECT ON oauth_schema TO oauth
//	GRANT SELECT, INSERT, UPDATE, DELETE ON oauth_records TO oauth
//
// One that only reads, as for whoever follows revocations, needs SELECT on both, and a negative
// [Options].SweepInterval.
//
// sslmode=verify-full and sslrootcert in the connection string verify the certificate of the
// database server; any lower sslmode trusts every server.
//
// Behind a pooler that assigns a connection to each transaction, such as PgBouncer with
// pool_mode=transaction, add default_query_exec_mode=exec, so that no statement is prepared.
// Nothing else is needed: each verb is one statement, and the schema is created in one transaction,
// whose lock ends with it.
//
//	postgres.go    Open, Options, and how a verb fails
//	verbs.go       the verbs
//	migrate.go     the schema, in migrations/, and its version
//	sweep.go       deleting what has expired
package postgres

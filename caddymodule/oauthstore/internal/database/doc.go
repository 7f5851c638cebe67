// Package database is what the stores share that connect to a database: reading its address, whose
// password must not be seen, and resolving it.
//
//	address.go  all of it
package database

// Package postgresstore is the Caddy module oauth_server.stores.postgres, over package
// tokenep/store/postgres.
//
//	store.go  the module
package postgresstore

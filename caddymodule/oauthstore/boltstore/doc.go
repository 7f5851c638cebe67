// Package boltstore is the Caddy module oauth_server.stores.bolt, over package tokenep/store/bolt.
//
//	store.go  the module
package boltstore

// Package memorystore is the Caddy module oauth_server.stores.memory, over package
// tokenep/store/memory.
//
//	store.go  the module
package memorystore

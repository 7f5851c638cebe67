// Package registry keeps the clients that are registered at run time (RFC 6749 §2), beside those of
// the configuration: one record for each client. It never expires, unless the client registered
// itself and nobody uses it.
//
//	registry.go    adds, loads, lists and removes them
//	secret.go      their secrets, by which one that was leaked is known
//	registered.go  those that register themselves (RFC 7591, RFC 7592)
//
// Secrets are generated here, returned once, and stored as hashes only.
package registry

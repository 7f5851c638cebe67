// Package registry keeps the clients that are registered at run time (RFC 6749 §2), beside those of
// the configuration: one record for each client, which never expires.
//
// registry.go adds, loads, lists and removes them. A client's secret is generated there, returned
// once, and stored as a hash only.
package registry

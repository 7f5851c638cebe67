// Package registry keeps the clients that were made at run time (RFC 6749 §2), beside those of the
// configuration: one record for each client, which never expires.
//
// A client's secret is generated here, returned once, and stored as a hash only.
package registry

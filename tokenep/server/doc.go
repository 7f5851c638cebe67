// Package server puts an authorization server together out of its parts: keys, state, client authentication, grants and endpoints.
//
//	server.go  what an issuer is made of, and its start
//	check.go   what a configuration is held to, part by part
//	mount.go   which path leads to which endpoint
//	revoke.go  which access tokens a revocation means
//
// There is no protocol here. A program without Caddy needs this package, a store, and http.ListenAndServe; the example is one.
//
// New checks a Config and does no I/O, Mount says which handler is at which path, Start loads the keys; requests that come before wait for it,
// unless Memory has what an earlier configuration knew.
package server

// Package server puts an authorization server together out of its parts: keys, state, client authentication, grants and endpoints.
//
//	server.go  what an issuer is made of, and its start
//	mount.go   which path leads to which endpoint
//
// There is no protocol here. A program without Caddy needs this package, a store, and http.ListenAndServe.
package server

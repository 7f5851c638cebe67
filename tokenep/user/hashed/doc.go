// Package hashed is people the hashes of whose passwords are in memory: as a list of its own, and
// as what package htpasswd reads from a file.
//
//	hashed.go  the list, and how long it takes to say no
package hashed

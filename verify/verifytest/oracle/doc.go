// Package oracle asks another implementation of RFC 7515, go-jose, about what package verify has
// accepted.
//
//	check.go  the question
package oracle

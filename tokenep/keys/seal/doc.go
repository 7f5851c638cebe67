// Package seal encrypts the secrets of a server that are in its store: signing keys (package keys),
// and the key of refresh tokens (package state).
//
// It keeps nothing and reads no store. Where the encryption keys come from, and what becomes of a
// record that cannot be opened, is the business of the caller.
//
//	seal.go  Seals: New, Seal, Open
package seal

// Package seal encrypts the secrets of an authorization server that are in its store: the signing
// keys (package keys), and the key of refresh tokens (package state).
//
// It has no state and reads no store. The caller has the encryption keys, and decides what to do
// with a record that cannot be decrypted.
//
//	seal.go  Seals: New, Seal, Open
package seal

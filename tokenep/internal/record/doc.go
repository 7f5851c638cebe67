// Package record is how typed records are read and written through the five verbs of [store.Store]:
// as JSON, each change as one conditional write, under ids that do not reveal a secret.
//
//	record.go  a typed record: load, insert, swap
//	change.go  load, decide and swap, again after a conflict
//	hash.go    ids of records that are found by a secret
//	limits.go  how long the texts in a record may be
//
// It is shared by the packages that keep state. It knows no kind of record and no rule about one.
package record

// Package record is how typed records are read and written through the five verbs of [store.Store]:
// as JSON, each change as one conditional write, under ids that do not reveal a secret.
//
// It is shared by the packages that keep state. It knows no kind of record and no rule about one.
package record

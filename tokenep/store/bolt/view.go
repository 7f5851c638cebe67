package bolt

import (
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

var errDamagedFile = errors.New("the file is damaged")

// view runs read in a transaction that changes nothing.
func (s *Store) view(read func(tx *bbolt.Tx) error) error {
	return survive(func() error { return s.db.View(read) })
}

// survive makes an error of a page that makes no sense, on which bbolt panics, and of one that the disk does not give any
// more, or that lies behind the end of the file: those are faults, since the file is mapped into memory. Else a request would
// get no answer, and what follows the store in the background would end the process, which has other things to serve.
func survive(use func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamagedFile, p)
		}
	}()
	return use()
}

package bolt

import (
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

var errDamagedFile = errors.New("the file is damaged")

// view runs read in a read-only transaction.
func (s *Store) view(read func(tx *bbolt.Tx) error) error {
	return survive(func() error { return s.db.View(read) })
}

// survive turns panics into errors. bbolt panics on a malformed page, and since the file is mapped
// into memory, a page that the disk cannot read, or that is beyond the end of the file, is a memory
// fault. Otherwise a request would get no answer, and a goroutine in the background would end the
// process, which also serves other things.
func survive(use func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamagedFile, p)
		}
	}()
	return use()
}

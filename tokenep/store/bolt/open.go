package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

const (
	// lockWait is how long Open waits for another process to release its lock, in case it is just
	// ending.
	lockWait = 200 * time.Millisecond

	// checkAll is the size up to which Open reads all pages of a file, and not only those that lead
	// to the records.
	checkAll = 64 << 20
)

var (
	errInUse   = errors.New("the file is in use: only one process can have it open, and only once")
	errNoStore = errors.New("the file is damaged, or is no store")
	errEmpty   = errors.New("the file is empty: with it the server would forget its signing keys, and what was issued and revoked; " +
		"restore a backup of it, or delete it to begin with a new store")
)

// Check returns an error if Open would refuse the file at path because of what is in it, or could
// not make it. It writes nothing. A file that a process has open is fine, and one that this user
// may not read.
func Check(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil
	case err != nil:
		return checkFolder(path)
	}
	err = checkFile(path, info, info.Size() <= checkAll, 1)
	if err == nil || errors.Is(err, errInUse) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return openError(path, err)
}

// checkFolder returns an error if a file that is not there cannot be made: its folder is none, or
// this user may not write there. A folder that is missing is made in the next one that there is.
func checkFolder(path string) error {
	for folder := filepath.Dir(path); ; folder = filepath.Dir(folder) {
		info, err := os.Stat(folder)
		switch {
		case errors.Is(err, fs.ErrNotExist) && folder != filepath.Dir(folder):
			continue
		case errors.Is(err, fs.ErrPermission):
			return nil
		case err == nil && !info.IsDir():
			err = fmt.Errorf("%s is no folder", folder)
		case err == nil:
			if err = mayWrite(folder); err != nil {
				err = fmt.Errorf("the file is not there, and this user may make none in %s: %w", folder, err)
			}
		}
		if err != nil {
			return openError(path, err)
		}
		return nil
	}
}

func openError(path string, err error) error { return fmt.Errorf("bolt: opening %s: %w", path, err) }

// checkFile returns an error unless the file can be read as a store of this layout; all says
// whether every page is read. It waits for a lock.
func checkFile(path string, info fs.FileInfo, all bool, wait time.Duration) error {
	switch {
	case !info.Mode().IsRegular():
		return errors.New("it is not a file")
	case info.Size() == 0:
		return errEmpty
	}
	// ReadOnly locks it for writers.
	db, file, err := openPages(path, bbolt.Options{ReadOnly: true, Timeout: wait})
	if err != nil {
		if _, unread := errors.AsType[*fs.PathError](err); !unread && !errors.Is(err, errInUse) {
			err = fmt.Errorf("%w: %w; restore a backup of it", errNoStore, err)
		}
		return err
	}
	defer func() { _ = db.Close() }()
	if info, err = file.Stat(); err != nil {
		return err
	}
	if err := checkPages(file, info.Size(), db.Info().PageSize, all); err != nil {
		return fmt.Errorf("%w: %w; restore a backup of it", errNoStore, err)
	}
	_, err = checkFormat(db)
	return err
}

// openPages opens a file with bbolt, which closes it with db.
func openPages(path string, o bbolt.Options) (db *bbolt.DB, file *os.File, err error) {
	o.NoStatistics = true // they take a lock that all readers would share
	o.OpenFile = func(path string, flag int, mode os.FileMode) (*os.File, error) {
		file, err = os.OpenFile(path, flag, mode)
		return file, err
	}
	err = survive(func() error {
		db, err = bbolt.Open(path, 0o600, &o)
		return err
	})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		err = fmt.Errorf("%w (%w)", errInUse, err)
	}
	return db, file, err
}

// openFile opens the file as a store of this layout, readable for its owner only.
func openFile(path string, logger *slog.Logger) (db *bbolt.DB, info fs.FileInfo, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, err
	}
	there, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if made, failed := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); failed == nil {
			_ = made.Close()
			defer func() { finish(path, err) }()
		}
	case err != nil:
		return nil, nil, err
	default:
		if err := checkFile(path, there, there.Size() <= checkAll, lockWait); err != nil {
			return nil, nil, err
		}
		if err := closeToOthers(path, there, logger); err != nil {
			return nil, nil, err
		}
	}
	db, file, err := openPages(path, bbolt.Options{
		Timeout:      lockWait,
		FreelistType: bbolt.FreelistMapType, // allocates in constant time even if much is free
		// The list of free pages is written with each commit, so that opening need not scan the
		// whole file for them.
		NoFreelistSync: false,
	})
	if err != nil {
		return nil, nil, err
	}
	err = survive(func() error { return markFormat(db) })
	if err == nil {
		info, err = file.Stat() // of the open file: the one at path may be replaced at any time
	}
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, info, nil
}

// finish makes the name of a new file durable, or removes the file after an error: half a file
// would be refused the next time. If somebody else had it open by then, it is no longer ours.
func finish(path string, err error) {
	switch {
	case err == nil:
		syncDir(filepath.Dir(path))
	case !errors.Is(err, errInUse):
		_ = os.Remove(path)
	}
}

// closeToOthers takes the rights of others to a file away.
func closeToOthers(path string, info fs.FileInfo, logger *slog.Logger) error {
	if info.Mode().Perm()&0o077 == 0 || runtime.GOOS == "windows" {
		return nil
	}
	logger.Warn("store: the file was readable for others; changing its mode",
		"path", path, "mode", info.Mode().Perm().String())
	return os.Chmod(path, 0o600)
}

// syncDir makes the name of a new file as durable as its content. Not every system can open a
// directory, and the file itself is good, so errors are ignored.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

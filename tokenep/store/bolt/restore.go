package bolt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

var errInUse = errors.New("the file is in use: one process can have it open, once")

// Restore puts a backup in the place of the file at path, and returns where the file that was there is kept: beside it, under
// its name and the time now, or nowhere if there was none. The new file has the owner of the old one, and mode 0600. It fails if
// a process has the file open.
//
// Before anything is replaced accept is asked about the origin of the backup, and the backup is copied and checked as CheckBackup does.
// Then one rename replaces the file: whoever is killed in the middle, or has no room on the disk, leaves the file as it was,
// and perhaps a copy beside it whose name ends in .part.
func Restore(backup, path string, now time.Time, accept func(Origin) error) (kept string, err error) {
	t, err := readTrailer(backup)
	if err != nil {
		return "", err
	}
	if err := accept(t.Origin); err != nil {
		return "", err
	}
	if there, err := filepath.EvalSymlinks(path); err == nil {
		path = there // a link stays one
	}
	locked, err := lockFile(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = locked.Close() }()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	part, err := t.writePages(backup, path)
	if err != nil {
		return "", fmt.Errorf("restoring %s: %w", path, err)
	}
	if runtime.GOOS == "windows" {
		_ = locked.Close() // a file that is open cannot be replaced there
	}
	if kept, err = replaceFile(path, part, now); err != nil {
		return "", errors.Join(fmt.Errorf("restoring %s: %w", path, err), os.Remove(part))
	}
	if kept != "" {
		// A process that opened the file under its old name waits this long for the lock, and must not get it.
		time.Sleep(lockWait + lockWait/4)
	}
	return kept, nil
}

// writePages makes a sound store of the backup, on the disk beside path, and returns its name.
func (t *trailer) writePages(backup, path string) (part string, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part") // mode 0600
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	if err := t.copyPages(backup, file); err != nil {
		return "", err
	}
	if err := errors.Join(keepOwner(file, path), file.Sync()); err != nil {
		return "", err
	}
	return file.Name(), checkFile(file.Name())
}

// replaceFile gives path the file part, and another name to the file that it had.
func replaceFile(path, part string, now time.Time) (kept string, err error) {
	kept = path + ".before-restore-" + now.UTC().Format("20060102T150405Z")
	// A second name, and not a new one: at no moment is there no file at path, or a server that starts would make new keys.
	switch err := os.Link(path, kept); {
	case errors.Is(err, fs.ErrNotExist):
		kept = ""
	case err != nil:
		return "", fmt.Errorf("keeping the file that is there: %w; move it away yourself, and try again", err)
	}
	if err := os.Rename(part, path); err != nil {
		if kept != "" {
			err = errors.Join(err, os.Remove(kept))
		}
		return "", err
	}
	syncDir(filepath.Dir(path))
	return kept, nil
}

// lockFile keeps other processes from opening the file until what it returns is closed. A file that is there no more, or is no
// store any more, cannot be locked, and no process can open it.
func lockFile(path string) (io.Closer, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(nil), nil
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockWait, NoStatistics: true})
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s: %w", path, errInUse)
	case errors.Is(err, fs.ErrPermission):
		return nil, err
	case err != nil:
		return io.NopCloser(nil), nil
	}
	return db, nil
}

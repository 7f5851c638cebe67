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
)

// Restore replaces the file at path with a backup. It returns the path where the old file is kept,
// beside it under its name and the time now, or "" if there was none. The new file has the owner of
// the old one, and mode 0600. Restore fails if a process has the file open.
//
// First accept is called with the origin of the backup, and the backup is copied and checked as by
// CheckBackup. Then one rename replaces the file: if the process is killed before, or the disk is
// full, the file stays as it was, perhaps with a copy beside it whose name ends in .part.
func Restore(backup, path string, now time.Time, accept func(Origin) error) (kept string, err error) {
	t, err := readTrailer(backup)
	if err != nil {
		return "", err
	}
	if err := accept(t.Origin); err != nil {
		return "", err
	}
	if there, err := filepath.EvalSymlinks(path); err == nil {
		path = there // a symbolic link stays one
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
		_ = locked.Close() // Windows cannot replace an open file
	}
	if kept, err = replaceFile(path, part, now); err != nil {
		return "", errors.Join(fmt.Errorf("restoring %s: %w", path, err), os.Remove(part))
	}
	if kept != "" {
		// A process that opened the file before the rename waits this long for the lock, and must
		// not get it.
		time.Sleep(lockWait + lockWait/4)
	}
	return kept, nil
}

// writePages copies the pages of a backup to a file beside path, checks that, and returns its name.
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
	return file.Name(), checkCopy(file.Name())
}

// replaceFile renames the file part to path, and keeps the old file under another name.
func replaceFile(path, part string, now time.Time) (kept string, err error) {
	kept = path + ".before-restore-" + now.UTC().Format("20060102T150405Z")
	// A hard link and not a rename, so that there is always a file at path: without one, a server
	// that starts would make new keys.
	switch err := os.Link(path, kept); {
	case errors.Is(err, fs.ErrNotExist):
		kept = ""
	case err != nil:
		return "", fmt.Errorf("keeping the old file: %w; move it away by hand, and try again", err)
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

// lockFile keeps other processes from opening the file until the returned value is closed. A file
// that is missing, or damaged, cannot be locked, but no process can open it either.
func lockFile(path string) (io.Closer, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(nil), nil
	}
	db, _, err := openPages(path, bbolt.Options{ReadOnly: true, Timeout: lockWait})
	switch {
	case errors.Is(err, errInUse):
		return nil, fmt.Errorf("%s: %w", path, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, err
	case err != nil:
		return io.NopCloser(nil), nil
	}
	return db, nil
}

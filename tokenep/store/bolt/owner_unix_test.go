//go:build unix

package bolt

import (
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Root may restore the store of a server that runs as another user.
func TestRestoreKeepsTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		const missing = "only root gives files to others"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	path := closedStore(t, "new")
	const nobody = 65534
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	_, err := Restore(backupOf(t, "old"), path, time.Now(), anyOrigin)
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != nobody || owner.Gid != nobody || info.Mode().Perm() != 0o600 {
		t.Errorf("it belongs to %d:%d, with mode %v", owner.Uid, owner.Gid, info.Mode())
	}
}

// What could not be written when the file was made is not left behind: it would be refused later.
func TestOpenOnAFullDisk(t *testing.T) {
	path := file(t)
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var was syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was))
	full := was
	full.Cur = 100 // bytes of a file
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full))
	_, err := Open(path, Options{})
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was))
	if _, left := os.Stat(path); err == nil || !errors.Is(left, fs.ErrNotExist) {
		t.Errorf("Open: %v; the file: %v", err, left)
	}
	open(t, path, Options{})
}

// Opening a pipe would wait for somebody who writes.
func TestOpenPipe(t *testing.T) {
	path := file(t)
	must(t, syscall.Mkfifo(path, 0o600))
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Error(err)
	}
	if err := Check(path); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Error(err)
	}
}

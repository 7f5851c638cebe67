//go:build unix

package bolt

import (
	"os"
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

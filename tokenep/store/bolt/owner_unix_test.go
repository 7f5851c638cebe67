//go:build unix

package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
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
// The limit is that of a whole process, so the process is another one.
func TestOpenOnAFullDisk(t *testing.T) {
	if path := os.Getenv(fullDisk); path != "" {
		signal.Ignore(syscall.SIGXFSZ)
		const most = 100 // bytes of a file
		must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: most, Max: most}))
		_, err := Open(path, Options{})
		_, left := os.Stat(path)
		fmt.Printf("opened: %v, not left: %v\n", err == nil, errors.Is(left, fs.ErrNotExist))
		os.Exit(0) // Go's own log could not be written
	}
	path := file(t)
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOpenOnAFullDisk$")
	child.Env = append(os.Environ(), fullDisk+"="+path)
	out, err := child.Output()
	if err != nil || string(out) != "opened: false, not left: true\n" {
		t.Errorf("%s%v", out, err)
	}
	open(t, path, Options{})
}

// fullDisk is the file that TestOpenOnAFullDisk opens in a process that can write none.
const fullDisk = "STORE_FULL_DISK_FILE"

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

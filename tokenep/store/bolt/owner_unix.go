//go:build unix

package bolt

import (
	"os"
	"syscall"
)

// keepOwner gives file to whom the file at path belongs, if there is one: an administrator restores for the user that the server runs as.
func keepOwner(file *os.File, path string) error {
	there, err := os.Stat(path)
	if err != nil {
		return nil
	}
	owner, ok := there.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return nil
	}
	return file.Chown(int(owner.Uid), int(owner.Gid))
}

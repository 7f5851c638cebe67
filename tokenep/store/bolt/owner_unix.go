//go:build unix

package bolt

import (
	"os"
	"syscall"
)

// keepOwner gives file the owner of the file at path, if there is one: root may restore the store
// of a server that runs as another user.
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

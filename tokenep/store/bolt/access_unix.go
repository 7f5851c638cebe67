//go:build darwin || freebsd || linux || netbsd || openbsd

package bolt

import "syscall"

// mayWrite returns an error if this user may make no file in a folder.
func mayWrite(folder string) error {
	const writeAndSearch = 3 // W_OK and X_OK of access(2)
	return syscall.Access(folder, writeAndSearch)
}

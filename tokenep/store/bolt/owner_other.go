//go:build !unix

package bolt

import "os"

// keepOwner does nothing: on these systems a file inherits its permissions from the directory.
func keepOwner(*os.File, string) error { return nil }

//go:build !unix

package bolt

import "os"

// keepOwner has nothing to do: here a file inherits who may use it from its directory.
func keepOwner(*os.File, string) error { return nil }

package bolt

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
)

// A place is where the open file was found, to notice when it is there no more: deleted, moved, or replaced by another. The
// system goes on taking what is written to a file without a name, and drops it all when the process ends.
type place struct {
	path   string
	file   fs.FileInfo // of the open file
	lost   bool
	logger *slog.Logger
}

var errLostFile = errors.New("the file is no longer at its path")

// check returns errLostFile while the path leads to no file, or to another. It costs about a microsecond, and an fsync a
// thousand times that. Where the system does not say, the file is taken to be there. It is of the committer alone.
func (p *place) check() error {
	there, err := os.Stat(p.path) // follows links, as opening does
	lost := errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(there, p.file)
	switch {
	case lost && !p.lost:
		p.logger.Error("store: the file was deleted, moved or replaced while it is open, and writes are refused, since they would be lost; "+
			"move it back, or restart the server to use what is at the path; a backup taken before that is of the file that is open",
			"path", p.path)
	case p.lost && !lost:
		p.logger.Info("store: the file is back, and writes are taken again", "path", p.path)
	}
	p.lost = lost
	if lost {
		return errLostFile
	}
	return nil
}

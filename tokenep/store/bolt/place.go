package bolt

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
)

// A place is the path of the open file, to notice when the file is deleted, moved or replaced by
// another. The system still accepts writes to a file without a name, and discards them when the
// process ends.
type place struct {
	path   string
	file   fs.FileInfo // of the open file
	lost   bool
	logger *slog.Logger
}

var errLostFile = errors.New("the file is no longer at its path")

// check returns errLostFile while there is no file at the path, or another one. It takes about a
// microsecond, a thousandth of an fsync. If the system cannot tell, the file counts as present.
// Only the committer calls it.
func (p *place) check() error {
	there, err := os.Stat(p.path) // follows links, as Open does
	lost := errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(there, p.file)
	switch {
	case lost && !p.lost:
		p.logger.Error("store: the open file was deleted, moved or replaced; writes are refused, because they would be lost; "+
			"move it back, or restart the server to use what is at the path; a backup taken before that is of the file that is open",
			"path", p.path)
	case p.lost && !lost:
		p.logger.Info("store: the file is back, and writes are accepted again", "path", p.path)
	}
	p.lost = lost
	if lost {
		return errLostFile
	}
	return nil
}

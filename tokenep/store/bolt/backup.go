package bolt

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// A backup is the pages of the file, and after them one line about them: trailerMark, and an Origin in JSON. bbolt reads the
// pages and never sees the line, so that a backup is a store for whoever inspects it. A copy that was broken off has no
// line, and one that was changed not the right digest: neither can be taken for a good one, however it came about.
const (
	trailerMark = "\ntokenep bolt backup 1 "
	maxTrailer  = 64 << 10 // bytes
)

// Origin is what a backup says about itself.
type Origin struct {
	Server string    `json:"server"` // the name of the server whose store it is
	Issuer string    `json:"issuer"` // and its URL
	Taken  time.Time `json:"taken"`  // what was done later is not in it
}

// trailer is the line at the end of a backup.
type trailer struct {
	Origin
	Size   int64  `json:"size"`   // of the pages, in bytes
	Digest []byte `json:"sha256"` // of the pages
}

var errNoBackup = errors.New("bolt: no good backup")

// A Backup is a copy of the file of a Store, to be read once and closed.
type Backup struct {
	io.Reader
	Size int64 // in bytes

	file *os.File
}

// Backup copies the file as it is at this moment, while the Store goes on. Of server and issuer it makes the Origin.
//
// The copy is on the same disk, beside the file, and takes as much room again until it is closed. Reading from the file itself
// would need none, but let a slow reader stop the Store: while a transaction of bbolt reads, the pages that it can see are not
// used again, so that the file grows with every write; and once it has grown beyond what is mapped into memory, all writes
// wait for the transaction, and then all reads. So it lasts for as long as a disk needs to copy a file, and no
// longer. The copy has no name (but on Windows), so that a process that is killed leaves nothing behind.
func (s *Store) Backup(ctx context.Context, server, issuer string) (*Backup, error) {
	file, err := os.CreateTemp(filepath.Dir(s.db.Path()), filepath.Base(s.db.Path())+".backup-*") // mode 0600
	if err != nil {
		return nil, unavailable(err)
	}
	_ = os.Remove(file.Name()) // Windows does not let it: Close does
	b := &Backup{file: file}
	b.Size, err = s.copyTo(ctx, file, Origin{Server: server, Issuer: issuer, Taken: s.now().UTC().Truncate(time.Second)})
	if err != nil {
		_ = b.Close()
		return nil, unavailable(fmt.Errorf("backup of %s: %w", s.db.Path(), err))
	}
	b.Reader = io.NewSectionReader(file, 0, b.Size)
	return b, nil
}

// copyTo writes a backup, and returns its size.
func (s *Store) copyTo(ctx context.Context, file io.Writer, o Origin) (int64, error) {
	t := trailer{Origin: o}
	digest := sha256.New()
	err := s.view(func(tx *bbolt.Tx) (err error) {
		t.Size, err = tx.WriteTo(io.MultiWriter(cancelled{ctx}, file, digest))
		return err
	})
	if err != nil {
		return 0, cmp.Or(ctx.Err(), err)
	}
	t.Digest = digest.Sum(nil)
	line, err := json.Marshal(t)
	if err != nil {
		return 0, err
	}
	n, err := io.WriteString(file, trailerMark+string(line)+"\n")
	return t.Size + int64(n), err
}

// Close removes the copy.
func (b *Backup) Close() error {
	err := b.file.Close()
	_ = os.Remove(b.file.Name())
	return err
}

// cancelled is a writer that takes everything until the context is done.
type cancelled struct{ context.Context }

func (c cancelled) Write(p []byte) (int, error) { return len(p), c.Err() }

// CheckBackup reads the whole of a backup, and returns where it comes from; or an error, if it is cut off, changed, not sound, of another layout, or no
// backup at all.
func CheckBackup(path string) (Origin, error) {
	t, err := readTrailer(path)
	if err != nil {
		return Origin{}, err
	}
	if err := t.copyPages(path, io.Discard); err != nil {
		return Origin{}, err
	}
	return t.Origin, checkFile(path)
}

// readTrailer finds out whether the file ends like a backup.
func readTrailer(path string) (t trailer, err error) {
	file, err := os.Open(path)
	if err != nil {
		return t, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	switch {
	case err != nil:
		return t, err
	case !info.Mode().IsRegular():
		return t, fmt.Errorf("%w: %s is no file", errNoBackup, path)
	case info.Size() == 0:
		return t, fmt.Errorf("%w: %s is empty", errNoBackup, path)
	}
	end := make([]byte, min(info.Size(), maxTrailer))
	if _, err := file.ReadAt(end, info.Size()-int64(len(end))); err != nil {
		return t, err
	}
	at := bytes.LastIndex(end, []byte(trailerMark))
	if at < 0 {
		return t, fmt.Errorf("%w: %s is cut off, or was not made by a backup", errNoBackup, path)
	}
	line, whole := bytes.CutSuffix(end[at+len(trailerMark):], []byte("\n"))
	if err := json.Unmarshal(line, &t); err != nil || !whole || t.Size != info.Size()-int64(len(end)-at) {
		return t, fmt.Errorf("%w: %s is cut off, or has been changed", errNoBackup, path)
	}
	return t, nil
}

// copyPages copies the pages of a backup, and compares their digest.
func (t *trailer) copyPages(path string, to io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	digest := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(to, digest), file, t.Size); err != nil {
		return fmt.Errorf("copying %s: %w", path, err)
	}
	if !bytes.Equal(digest.Sum(nil), t.Digest) {
		return fmt.Errorf("%w: %s has been changed: it has another digest than when it was made", errNoBackup, path)
	}
	return nil
}

// checkFile reports whether all of a file can be read as a store of this layout. It needs no trailer.
func checkFile(path string) (err error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockWait, NoStatistics: true})
	if err != nil {
		return fmt.Errorf("%w: opening %s: %w", errNoBackup, path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := checkFormat(db); err != nil {
		return fmt.Errorf("%w: %s: %w", errNoBackup, path, err)
	}
	return db.View(func(tx *bbolt.Tx) error {
		var first error
		for damage := range tx.Check() { // to the end: who sends waits to be heard
			if first == nil {
				first = fmt.Errorf("%w: %s: %w", errNoBackup, path, damage)
			}
		}
		return first
	})
}

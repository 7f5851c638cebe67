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

// A backup is the pages of the file, and after them one line about them: trailerMark, and an Origin
// in JSON. bbolt reads the pages and not the line, so a backup can be inspected like a store. A
// copy that was interrupted has no line, and one that was changed has another digest: neither can
// be taken for a good one, whatever happened to it.
const (
	trailerMark = "\ntokenep bolt backup 1 "
	maxTrailer  = 64 << 10 // bytes
)

// Origin is what a backup says about itself.
type Origin struct {
	Server string    `json:"server"` // the name of the authorization server
	Issuer string    `json:"issuer"` // and its URL
	Taken  time.Time `json:"taken"`  // when the copy was made
}

// trailer is the line at the end of a backup.
type trailer struct {
	Origin
	Size   int64  `json:"size"`   // of the pages, in bytes
	Digest []byte `json:"sha256"` // of the pages
}

var errNoBackup = errors.New("bolt: not a good backup")

// A Backup is a copy of the file of a Store, to be read once and closed.
type Backup struct {
	io.Reader
	Size int64 // in bytes

	file *os.File
}

// Backup copies the file as it is at this moment, while the Store stays in use. server and issuer
// are for its Origin.
//
// The copy is on the same disk, beside the file, and takes as much space again until it is closed.
// Sending the file itself would need none, but then a slow receiver could stop the Store: while a
// transaction of bbolt reads, the pages that it sees are not reused, so the file grows with every
// write; and when it has grown beyond what is mapped into memory, all writes wait for that
// transaction, and then all reads. With a copy the transaction only lasts as long as the disk
// needs. Except on Windows the copy has no name, so that a process that is killed leaves nothing
// behind.
func (s *Store) Backup(ctx context.Context, server, issuer string) (*Backup, error) {
	path := s.db.Path()
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".backup-*") // mode 0600
	if err != nil {
		return nil, unavailable(err)
	}
	_ = os.Remove(file.Name()) // fails on Windows: Close does it there
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

// cancelled is a writer that accepts everything until the context is done.
type cancelled struct{ context.Context }

func (c cancelled) Write(p []byte) (int, error) { return len(p), c.Err() }

// CheckBackup reads a whole backup and returns its Origin. It fails if the file is truncated,
// changed, damaged, of another layout, or not a backup.
func CheckBackup(path string) (Origin, error) {
	t, err := readTrailer(path)
	if err != nil {
		return Origin{}, err
	}
	if err := t.copyPages(path, io.Discard); err != nil {
		return Origin{}, err
	}
	return t.Origin, checkCopy(path)
}

// readTrailer returns the line at the end of a backup.
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
		return t, fmt.Errorf("%w: %s is not a file", errNoBackup, path)
	case info.Size() == 0:
		return t, fmt.Errorf("%w: %s is empty", errNoBackup, path)
	}
	end := make([]byte, min(info.Size(), maxTrailer))
	if _, err := file.ReadAt(end, info.Size()-int64(len(end))); err != nil {
		return t, err
	}
	at := bytes.LastIndex(end, []byte(trailerMark))
	if at < 0 {
		return t, fmt.Errorf("%w: %s is truncated, or was not made by a backup", errNoBackup, path)
	}
	line, whole := bytes.CutSuffix(end[at+len(trailerMark):], []byte("\n"))
	if err := json.Unmarshal(line, &t); err != nil || !whole || t.Size != info.Size()-int64(len(end)-at) {
		return t, fmt.Errorf("%w: %s is truncated, or has been changed", errNoBackup, path)
	}
	return t, nil
}

// copyPages copies the pages of a backup and checks their digest.
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
		return fmt.Errorf("%w: %s has been changed: its digest is not the one that it was made with", errNoBackup, path)
	}
	return nil
}

// checkCopy returns an error unless the whole file can be read as a store. It needs no trailer.
func checkCopy(path string) error {
	info, err := os.Stat(path)
	if err == nil {
		err = checkFile(path, info, true, lockWait)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errNoBackup, path, err)
	}
	return nil
}

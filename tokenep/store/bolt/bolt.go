package bolt

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/internal/engine"
)

// Options are the settings of a Store; the zero value is usable.
type Options struct {
	// Now is the clock that expiry is compared with; nil means time.Now.
	Now func() time.Time

	// Logger gets what no verb returns: that the mode of the file was too open, or that a sweep
	// failed. nil means slog.Default().
	Logger *slog.Logger

	// SweepInterval is how often expired records are deleted: 0 means each minute, and less than 0
	// means only when Sweep is called.
	SweepInterval time.Duration
}

// A Store is a store.Store in a bbolt file. Make one with Open.
type Store struct {
	db    *bbolt.DB
	now   func() time.Time
	place place

	// ops goes from the verbs to the committer. It is unbuffered, so that a caller can give up
	// until its write is received.
	ops     chan *op
	closing <-chan struct{} // closed by Close
	running sync.WaitGroup
	stuck   bool // the file can be neither written nor closed; used by the committer, then by Close
	close   func() error
}

var _ store.Store = (*Store)(nil)

// Open opens the file at path, and creates it (mode 0600) and its directory (mode 0700) if there is
// none. If another process has the file open, it fails after lockWait. It refuses a file that is
// damaged or empty. To find that out it reads a small file, and of one of more than 64 MiB about a
// hundredth: a damaged record there is an error of the verbs that read it.
func Open(path string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	db, info, err := openFile(path, o.Logger)
	if err != nil {
		return nil, openError(path, err)
	}
	ctx, stop := context.WithCancel(context.Background()) // of the store, until Close
	s := &Store{
		db: db, now: o.Now, place: place{path: path, file: info, logger: o.Logger},
		ops: make(chan *op), closing: ctx.Done(),
	}
	s.close = sync.OnceValue(func() error {
		stop()
		s.running.Wait()
		if s.stuck {
			return unavailable(errDamagedFile) // the file stays locked until the process ends
		}
		return s.db.Close() // waits for readers
	})
	s.running.Go(s.commitAll)
	s.running.Go(func() { engine.Sweep(ctx, o.SweepInterval, o.Logger.With("path", path), s.Sweep) })
	return s, nil
}

// Close waits for the verbs that have begun, and closes the file. Every later verb returns
// store.ErrUnavailable.
func (s *Store) Close() error { return s.close() }

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, kind, id string) (r store.Record, err error) {
	if err := store.CheckKey(kind, id); err != nil {
		return store.Record{}, err
	}
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	found := false
	err = s.view(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte(kind))
		if bucket == nil {
			return nil
		}
		value := bucket.Get([]byte(id))
		if value == nil {
			return nil
		}
		found = true
		r, err = decode(kind, id, value)
		return err
	})
	if err != nil {
		return store.Record{}, unavailable(err)
	}
	if !found {
		return store.Record{}, store.ErrNotFound
	}
	return r, nil
}

// List implements store.Store. Each page is a transaction of its own, so that a slow reader of many
// pages does not prevent old pages of the file from being reused.
func (s *Store) List(ctx context.Context, kind, prefix, after string, limit int) (page []store.Record, err error) {
	if err := store.CheckList(kind, prefix, after, limit); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.view(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte(kind))
		if bucket == nil {
			return nil
		}
		page, err = listPage(bucket.Cursor(), kind, prefix, after, limit)
		return err
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return page, nil
}

// unavailable wraps an error of bbolt: none of them is about a single record.
func unavailable(err error) error {
	return fmt.Errorf("%w: bolt: %w", store.ErrUnavailable, err)
}

package verify

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// FileKeys is a KeySet kept in a JWK Set file, which is read again while it is
// in use: a changed file takes effect within Every.
//
// A version that ParseKeySet refuses, and a file that is gone, leave the last
// good version in force, and are logged once. To withdraw every key, write a
// set without keys: {"keys":[]}. Until a first version has been read the keys
// are unavailable, which is a 503 and no 401.
type FileKeys struct {
	path   string
	every  time.Duration
	now    func() time.Time
	logger *slog.Logger

	current atomic.Pointer[StaticKeys] // nil: never loaded
	due     atomic.Int64               // when to look again, Unix nanoseconds

	mu      sync.Mutex // held while reading
	content []byte     // what current was made of
	problem string     // logged last
}

// FileKeysOptions may all be left out.
type FileKeysOptions struct {
	Every  time.Duration    // how often the file is looked at, at most; 0 stands for 5 s
	Now    func() time.Time // the clock; nil for time.Now
	Logger *slog.Logger     // nil for slog.Default()
}

// maxKeyFile is the size in bytes above which a file is no key set.
const maxKeyFile = 1 << 20

var (
	errFileSize = errors.New("the file is larger than 1 MiB")
	errNoUsable = errors.New("the key set has no key that can be used")
)

// NewFileKeys gives the keys in the file at path, without reading it yet.
func NewFileKeys(path string, o FileKeysOptions) *FileKeys {
	f := &FileKeys{path: path, every: o.Every, now: o.Now, logger: o.Logger}
	if f.every <= 0 {
		f.every = 5 * time.Second
	}
	if f.now == nil {
		f.now = time.Now
	}
	if f.logger == nil {
		f.logger = slog.Default()
	}
	return f
}

// Load reads the file now, and says what is wrong with it; so a configuration
// can be refused at once. A set without any usable key is an error here.
func (f *FileKeys) Load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.read(); err != nil {
		return err
	}
	if f.current.Load().Len() == 0 {
		return fmt.Errorf("%s: %w", f.path, errNoUsable)
	}
	return nil
}

// Key implements KeySet.
func (f *FileKeys) Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	f.refresh()
	keys := f.current.Load()
	if keys == nil {
		return nil, fmt.Errorf("%w: %s has not been read", ErrUnavailable, f.path)
	}
	return keys.Key(ctx, kid, alg)
}

// refresh looks at the file when it is due. One caller does; the others go on
// with what there is, unless there is nothing yet.
func (f *FileKeys) refresh() {
	if f.now().UnixNano() < f.due.Load() {
		return
	}
	if f.current.Load() == nil {
		f.mu.Lock()
	} else if !f.mu.TryLock() {
		return
	}
	defer f.mu.Unlock()
	if f.now().UnixNano() < f.due.Load() {
		return
	}
	problem := ""
	if err := f.read(); err != nil {
		problem = err.Error()
	}
	if problem != f.problem && problem != "" {
		f.logger.Error("key set file cannot be used, keeping the keys of before", "error", problem)
	}
	f.problem = problem
}

// read takes in the file if it has changed. It compares contents, since a key
// set is small, and the time of a file may stand still over two quick writes
// or be that of another file behind a link.
func (f *FileKeys) read() error {
	f.due.Store(f.now().Add(f.every).UnixNano())
	content, err := readKeyFile(f.path)
	if err != nil {
		return err
	}
	if f.current.Load() != nil && bytes.Equal(content, f.content) {
		return nil
	}
	keys, dropped, err := ParseKeySet(content)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	for _, reason := range dropped {
		f.logger.Warn("key left out of the key set", "file", f.path, "reason", reason)
	}
	if f.current.Load() != nil {
		f.logger.Info("key set file has changed", "file", f.path, "keys", keys.Len())
	}
	f.content = content
	f.current.Store(keys)
	return nil
}

func readKeyFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxKeyFile {
		return nil, fmt.Errorf("%s: %w", path, errFileSize)
	}
	return content, nil
}

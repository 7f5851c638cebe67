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

// FileKeys is a KeySet in a JWK Set file (RFC 7517 §5). The file is read again while it is in use;
// a change takes effect within [FileKeysOptions.Every].
//
// If the file is gone, or ParseKeySet refuses it, the last good version stays in force, and the
// reason is logged once. To withdraw every key, write a set without keys: {"keys":[]}. Until a
// first version has been read, the error of Key is ErrUnavailable.
type FileKeys struct {
	path   string
	every  time.Duration
	now    func() time.Time
	logger *slog.Logger
	parse  func([]byte) (*StaticKeys, []error, error)

	current atomic.Pointer[StaticKeys] // nil: never loaded
	due     atomic.Int64               // when to read the file again, in Unix nanoseconds

	mu      sync.Mutex // held while reading
	content []byte     // from which current was parsed
	problem string     // the last one logged
}

// FileKeysOptions are the options of a FileKeys. The zero value is fine.
type FileKeysOptions struct {
	Every  time.Duration    // the least time between two looks at the file; 0 stands for 5 s
	Now    func() time.Time // the clock; nil for time.Now
	Logger *slog.Logger     // nil for slog.Default()
	SPIFFE bool             // it is the bundle of a trust domain: see ParseBundle
}

const maxKeyFile = 1 << 20 // bytes

var errNoUsable = errors.New("the key set has no usable key")

// NewFileKeys returns the keys in the file at path. It does not read the file.
func NewFileKeys(path string, o FileKeysOptions) *FileKeys {
	f := &FileKeys{path: path, every: o.Every, now: o.Now, logger: o.Logger, parse: parser(o.SPIFFE)}
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

// Load reads the file now and returns what is wrong with it, so that a configuration can be refused
// at once. A set without a usable key is an error here.
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
	keys, err := f.latest()
	if err != nil {
		return nil, err
	}
	return keys.Key(ctx, kid, alg)
}

func (f *FileKeys) anyRSA(ctx context.Context, kid string) (crypto.PublicKey, error) {
	keys, err := f.latest()
	if err != nil {
		return nil, err
	}
	return keys.anyRSA(ctx, kid)
}

func (f *FileKeys) holds(ctx context.Context, key crypto.PublicKey) (bool, error) {
	keys, err := f.latest()
	if err != nil {
		return false, err
	}
	return keys.holds(ctx, key)
}

// HasKey reports whether there is a key with this kid: see [Ancestor].
func (f *FileKeys) HasKey(ctx context.Context, kid string) (bool, error) {
	keys, err := f.latest()
	if err != nil {
		return false, err
	}
	return keys.HasKey(ctx, kid)
}

// latest returns the keys that were read last.
func (f *FileKeys) latest() (*StaticKeys, error) {
	f.refresh()
	keys := f.current.Load()
	if keys == nil {
		return nil, fmt.Errorf("%w: %s has not been read", ErrUnavailable, f.path)
	}
	return keys, nil
}

// refresh reads the file if that is due. One caller reads; the others go on with the current keys,
// or wait if there are none yet.
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
		f.logger.Error("key set file cannot be used; keeping the previous keys", "error", problem)
	}
	f.problem = problem
}

// read parses the file if it has changed. It compares contents and not modification times: two
// quick writes can have the same time, and a link can point to another file.
func (f *FileKeys) read() error {
	f.due.Store(f.now().Add(f.every).UnixNano())
	content, err := ReadKeyFile(f.path, maxKeyFile)
	if err != nil {
		return err
	}
	if f.current.Load() != nil && bytes.Equal(content, f.content) {
		return nil
	}
	keys, dropped, err := f.parse(content)
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

// ReadKeyFile returns the content of a file of at most limit bytes. A larger file is an error, and
// is not read to its end. Every error names the path.
func ReadKeyFile(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return content, nil
}

package htpasswd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/user/hashed"
	"github.com/tokenep/caddy-tokenep/verify"
)

// File is people in a file. The file is read again while it is in use; a change takes effect within
// a second. A file that is gone, or has a bad line, changes nothing: the last good version stays in
// force, and the reason is logged once. One in which there is nobody any more must stay so for
// EmptyFor: it may be about to be written anew, and would sign everybody out.
type File struct {
	path   string
	o      Options
	logger *slog.Logger

	current atomic.Pointer[hashed.List] // nil: never loaded
	due     atomic.Int64                // when to read the file again, in Unix nanoseconds

	mu      sync.Mutex // held while reading
	content []byte     // from which current was parsed
	empty   time.Time  // since when nobody is in the file; zero: somebody is
	problem string     // the last one logged
}

// Options are the options of a File.
type Options struct {
	Hashes hashed.Options   // required
	Now    func() time.Time // the clock; nil for time.Now
	Logger *slog.Logger     // nil for slog.Default()

	// Settle is how long a new version must stay as it is before it counts, so that one which is
	// being written is not read by half; 0 stands for 100 ms.
	Settle time.Duration
}

const (
	every   = time.Second // the least time between two looks at the file
	settle  = 100 * time.Millisecond
	patient = 20      // times that a file may change while it is read
	maxFile = 8 << 20 // bytes
)

// EmptyFor is how long a file in which there were people must have nobody, until that counts.
const EmptyFor = 5 * time.Second

var errRestless = errors.New("it changes all the time")

// New returns the people in the file at path. It does not read the file.
func New(path string, o Options) *File {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Settle == 0 {
		o.Settle = settle
	}
	return &File{path: path, o: o, logger: o.Logger.With("file", path)}
}

// Load reads the file now and returns what is wrong with it, so that a configuration can be refused
// at once. A file without anybody is good: people may be added later.
func (f *File) Load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.read()
}

// Source returns the file as a source of users. Its hashes are computed in turns with all others of
// the process.
func (f *File) Source() *tokenep.UserSource {
	return &tokenep.UserSource{
		Authenticate: f.Authenticate, Find: f.Find, Recheck: tokenep.RecheckAlways, Turns: tokenep.ProcessTurns,
	}
}

// Authenticate is that of a tokenep.UserSource.
func (f *File) Authenticate(ctx context.Context, name, password string) (tokenep.User, error) {
	list, err := f.latest()
	if err != nil {
		return tokenep.User{}, err
	}
	return list.Authenticate(ctx, name, password)
}

// Find is that of a tokenep.UserSource.
func (f *File) Find(ctx context.Context, subject string) (tokenep.User, error) {
	list, err := f.latest()
	if err != nil {
		return tokenep.User{}, err
	}
	return list.Find(ctx, subject)
}

// latest returns the people who were read last. One caller reads; the others go on with them.
func (f *File) latest() (*hashed.List, error) {
	ahead := f.due.Load() - f.o.Now().UnixNano() // more than every: the clock was set back
	if (ahead <= 0 || ahead > int64(every)) && f.mu.TryLock() {
		f.refresh()
		f.mu.Unlock()
	}
	if list := f.current.Load(); list != nil {
		return list, nil
	}
	return nil, fmt.Errorf("%s has not been read", f.path)
}

// refresh reads the file, and logs a problem that is new.
func (f *File) refresh() {
	problem := ""
	if err := f.read(); err != nil {
		problem = err.Error()
	}
	if problem != f.problem && problem != "" {
		f.logger.Error("the file of users cannot be used; keeping those who were read before", "error", problem)
	}
	f.problem = problem
}

// read parses the file if it has changed. It compares contents and not modification times: two
// quick writes can have the same time, and a link can point to another file.
func (f *File) read() error {
	f.due.Store(f.o.Now().Add(every).UnixNano())
	empty := f.empty
	f.empty = time.Time{}
	content, err := verify.ReadKeyFile(f.path, maxFile)
	if err != nil {
		return err
	}
	before := f.current.Load()
	if before != nil && bytes.Equal(content, f.content) {
		return nil
	}
	if before != nil {
		if content, err = f.settled(); err != nil {
			return err
		}
	}
	people, err := parse(content)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	list, err := hashed.New(people, f.o.Hashes)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	if before != nil && before.Len() > 0 && list.Len() == 0 && !f.stillEmpty(empty) {
		return nil
	}
	if before != nil {
		f.logger.Info("the file of users has changed", "users", list.Len())
	}
	f.warn(people)
	f.content = content
	f.current.Store(list)
	return nil
}

// stillEmpty reports whether nobody has been in the file for long enough. since is when that was
// seen first.
func (f *File) stillEmpty(since time.Time) bool {
	now := f.o.Now()
	if since.IsZero() || since.After(now) {
		since = now
		f.logger.Warn("nobody is in the file of users any more; if it stays so, all of them are gone", "in", EmptyFor)
	}
	f.empty = since
	return now.Sub(since) >= EmptyFor
}

// settled returns what is in the file when it has stopped changing: it is the same twice, and
// nobody has written it between.
func (f *File) settled() ([]byte, error) {
	for range patient {
		before, content, err := f.look()
		if err != nil {
			return nil, err
		}
		time.Sleep(f.o.Settle)
		after, again, err := f.look()
		if err != nil {
			return nil, err
		}
		if before.Equal(after) && bytes.Equal(content, again) {
			return content, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", f.path, errRestless)
}

// look returns when the file was written, and what is in it.
func (f *File) look() (time.Time, []byte, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return time.Time{}, nil, err
	}
	content, err := verify.ReadKeyFile(f.path, maxFile)
	return info.ModTime(), content, err
}

// warn logs whose hashes take so long that others can tell who is a user.
func (f *File) warn(people map[string]hashed.Person) {
	if f.o.Hashes.Decoy == nil {
		return
	}
	slow := 0
	for _, p := range people {
		if f.o.Hashes.Decoy([]byte(p.Hash)) == nil {
			slow++
		}
	}
	if slow > 0 {
		f.logger.Warn("checking passwords takes long: by the time of a refusal others can tell that these users exist; "+
			"make their hashes cheaper, with htpasswd -B -C 10", "users", slow)
	}
}

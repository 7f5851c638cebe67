package htpasswd_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/tokenep/user/hashed"
	"github.com/tokenep/caddy-tokenep/tokenep/user/htpasswd"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

func line(t testing.TB, name, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return name + ":" + string(hash) + "\n"
}

var hashes = hashed.Options{
	Compare: func(hash, password []byte) (bool, error) {
		err := bcrypt.CompareHashAndPassword(hash, password)
		if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, nil
		}
		return err == nil, err
	},
}

// file is an htpasswd file in use.
type file struct {
	*htpasswd.File

	t     testing.TB
	path  string
	clock *verifytest.Clock
	log   *tokeneptest.Log
}

func open(t testing.TB, text string) *file { return openSettling(t, text, time.Millisecond) }

func openSettling(t testing.TB, text string, settle time.Duration) *file {
	t.Helper()
	f := &file{t: t, path: filepath.Join(t.TempDir(), "users"), clock: verifytest.NewClock(tokeneptest.Start), log: new(tokeneptest.Log)}
	f.write(text)
	f.File = htpasswd.New(f.path, htpasswd.Options{
		Hashes: hashes, Now: f.clock.Now, Logger: slog.New(slog.NewTextHandler(f.log, nil)), Settle: settle,
	})
	return f
}

func (f *file) write(text string) {
	if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// knows fails the test unless just these names are good, a second later.
func (f *file) knows(password string, names ...string) {
	f.t.Helper()
	f.clock.Advance(time.Second)
	for _, name := range []string{"ada", "bert", "carl"} {
		_, err := f.Authenticate(f.t.Context(), name, password)
		_, found := f.Find(f.t.Context(), name)
		if want := strings.Contains(" "+strings.Join(names, " ")+" ", " "+name+" "); (err == nil) != want || (found == nil) != want {
			f.t.Errorf("%s: %v, %v; want %v", name, err, found, want)
		}
	}
}

// A change is seen within a second, and a bad version changes nothing, is logged once and shows no
// password.
func TestChanges(t *testing.T) {
	f := open(t, line(t, "ada", "x"))
	if err := f.Load(); err != nil {
		t.Fatal(err)
	}
	f.knows("x", "ada")
	f.write("# bert is new\r\n\n" + strings.TrimSuffix(line(t, "bert", "x"), "\n") + "\r\n" + line(t, "carl", "x"))
	f.knows("x", "bert", "carl")
	f.write(line(t, "ada", "x") + "bert:ThePassword\n")
	f.knows("x", "bert", "carl")
	f.knows("x", "bert", "carl")
	if log := f.log.String(); strings.Count(log, "cannot be used") != 1 || !strings.Contains(log, "users: line 2: the hash is not bcrypt") || strings.Contains(log, "ThePassword") {
		t.Errorf("the log: %s", log)
	}
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	f.knows("x", "bert", "carl")
	if log := f.log.String(); strings.Count(log, "cannot be used") != 2 {
		t.Errorf("the log: %s", log)
	}
	f.write("")
	f.knows("x", "bert", "carl")
	f.clock.Advance(htpasswd.EmptyFor)
	f.knows("x")
	f.write(line(t, "ada", "y"))
	f.knows("y", "ada")
}

// A file that is empty while it is written anew signs nobody out; one that stays empty does.
func TestEmptyForAMoment(t *testing.T) {
	f := open(t, line(t, "ada", "x"))
	if err := f.Load(); err != nil {
		t.Fatal(err)
	}
	for _, nobody := range []string{"", "# people\n"} {
		for range 3 { // each time anew
			f.write(nobody)
			f.knows("x", "ada")
			f.clock.Advance(htpasswd.EmptyFor - 2*time.Second)
			f.knows("x", "ada")
			f.write(line(t, "ada", "x"))
			f.knows("x", "ada")
		}
	}
	if log := f.log.String(); strings.Count(log, "nobody is in the file") != 6 {
		t.Errorf("the log: %s", log)
	}
	f.write("")
	f.knows("x", "ada")
	f.clock.Advance(-time.Hour) // the clock is set back
	f.knows("x", "ada")
	f.clock.Advance(htpasswd.EmptyFor)
	f.knows("x")
}

// A version that is being written is not read by half, although each half is a good file.
func TestHalfAFile(t *testing.T) {
	f := openSettling(t, line(t, "ada", "x")+line(t, "bert", "x")+line(t, "carl", "x"), 50*time.Millisecond)
	if err := f.Load(); err != nil {
		t.Fatal(err)
	}
	lines := []string{line(t, "ada", "x"), line(t, "bert", "x"), line(t, "carl", "x")}
	var writing sync.WaitGroup
	writing.Go(func() {
		for range 30 {
			out, err := os.Create(f.path)
			if err != nil {
				t.Error(err)
				return
			}
			for _, text := range lines {
				_, _ = out.WriteString(text)
				time.Sleep(200 * time.Microsecond)
			}
			out.Close()
			time.Sleep(2 * time.Millisecond)
		}
	})
	for range 20 {
		f.clock.Advance(time.Second)
		if _, err := f.Find(t.Context(), "carl"); err != nil {
			t.Error("the last line of a file that is being written is missed")
			break
		}
		time.Sleep(time.Millisecond)
	}
	writing.Wait()
	f.knows("x", "ada", "bert", "carl")
}

// What is wrong with a line is said at load, with its number.
func TestLines(t *testing.T) {
	good := line(t, "ada", "x")
	for _, tc := range []struct{ text, want string }{
		{good + "bert", "line 2: there is no colon"},
		{"\n\n" + good + ":" + strings.SplitN(good, ":", 2)[1], "line 4: a name must have"},
		{good + good, `line 2: user "ada" is on line 1 already`},
		{"bert:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "line 1: the hash is not bcrypt; make it with htpasswd -B"},
		{"bert:$apr1$abc$def", "line 1: the hash is not bcrypt"},
		{"bert:plain", "line 1: the hash is not bcrypt"},
		{strings.TrimSpace(good) + ":extra", "line 1: the hash is not bcrypt"},
		{"client:" + good, "line 1: the hash is not bcrypt"}, // the name ends at the first colon
		{" " + good, "line 1: a name must have"},
		{"\ufeff" + good, "line 1: a name must have"}, // of some editors
	} {
		err := open(t, tc.text).Load()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%q: %v, want %q", tc.text, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "plain") {
			t.Errorf("%v shows what may be a password", err)
		}
	}
	if err := open(t, strings.Repeat("#"+strings.Repeat("x", 1023)+"\n", 8<<10)+"x").Load(); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a huge file: %v", err)
	}
}

// While no version has been read, nobody knows: that is no wrong password.
func TestNeverRead(t *testing.T) {
	f := open(t, "bad")
	if _, err := f.Authenticate(t.Context(), "ada", "x"); err == nil || errors.Is(err, tokenep.ErrNoUser) {
		t.Error(err)
	}
}

// Whatever a file has: it is refused, or each name in it is one that can sign in.
func FuzzLines(f *testing.F) {
	f.Add("ada:$2a$04$UyZiZ48v9nqn4HcPhbVineHxRCELd4fUNncGdkmtsoOch9jIee/yO\n#x\n")
	f.Add("a:b:c\r\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "users")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		file := htpasswd.New(path, htpasswd.Options{Hashes: hashes})
		if err := file.Load(); err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q", err)
			}
			return
		}
		for i, l := range strings.Split(text, "\n") {
			name, _, ok := strings.Cut(l, ":")
			if !ok || strings.HasPrefix(l, "#") || strings.TrimSpace(l) == "" {
				continue
			}
			if _, err := file.Find(t.Context(), name); err != nil {
				t.Error(fmt.Sprint("line ", i+1), name, err)
			}
		}
	})
}

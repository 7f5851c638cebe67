package bolt

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// stored returns the data of the record a in a file that is not open.
func stored(t testing.TB, path string) string {
	t.Helper()
	s, err := Open(path, Options{SweepInterval: -1})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	r, err := s.Load(t.Context(), kind, "a")
	must(t, err)
	return string(r.Data)
}

// closedStore returns a file that holds the data.
func closedStore(t testing.TB, data string) (path string) {
	t.Helper()
	path = file(t)
	s, err := Open(path, Options{SweepInterval: -1})
	must(t, err)
	insert(t, s, data, "a")
	must(t, s.Close())
	return path
}

// backupOf returns a backup of a store that holds the data.
func backupOf(t testing.TB, data string) (path string) {
	t.Helper()
	s, err := Open(closedStore(t, data), Options{SweepInterval: -1})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	return backUp(t, s)
}

func TestRestoreKeepsWhatWasThere(t *testing.T) {
	path := closedStore(t, "new")
	kept, err := Restore(backupOf(t, "old"), path, time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), anyOrigin)
	must(t, err)
	if kept != path+".before-restore-20300102T030405Z" {
		t.Errorf("kept as %q", kept)
	}
	for file, want := range map[string]string{path: "old", kept: "new"} {
		if got := stored(t, file); got != want {
			t.Errorf("%s has %q, want %q", file, got, want)
		}
		sound(t, file)
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("%s: mode %v, %v", file, info.Mode(), err)
		}
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 2 {
		t.Errorf("the directory has %v", entries)
	}
}

func TestRestoreWhereNothingWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caddy", "store.db")
	kept, err := Restore(backupOf(t, "old"), path, time.Now(), anyOrigin)
	if err != nil || kept != "" || stored(t, path) != "old" {
		t.Errorf("%q %v", kept, err)
	}
	onlyFile(t, path)
}

// A damaged store can be replaced.
func TestRestoreOverADamagedFile(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "junk": strings.Repeat("junk", 10_000)} {
		path := file(t)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		kept, err := Restore(backupOf(t, "old"), path, time.Now(), anyOrigin)
		must(t, err)
		if text, err := os.ReadFile(kept); err != nil || string(text) != content || stored(t, path) != "old" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRestoreFollowsALink(t *testing.T) {
	path := closedStore(t, "new")
	link := filepath.Join(t.TempDir(), "link.db")
	must(t, os.Symlink(path, link))
	_, err := Restore(backupOf(t, "old"), link, time.Now(), anyOrigin)
	if target, _ := os.Readlink(link); err != nil || target != path || stored(t, path) != "old" {
		t.Errorf("%v; the link leads to %q", err, target)
	}
}

// A refused restore leaves the file as it was, and nothing beside it.
func TestRestoreRefused(t *testing.T) {
	good, err := os.ReadFile(backupOf(t, strings.Repeat("old", 5000)))
	must(t, err)
	path := closedStore(t, "new")
	unchanged := func(name string, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if stored(t, path) != "new" {
			t.Errorf("%s: the store has been changed", name)
		}
		onlyFile(t, path)
	}
	for name, bad := range spoiled(t, good) {
		if bad.want == "" {
			continue
		}
		backup := file(t)
		must(t, os.WriteFile(backup, bad.content, 0o600))
		_, err := Restore(backup, path, time.Now(), anyOrigin)
		unchanged(name, err, bad.want)
	}
	other := errors.New("it is of another server")
	_, err = Restore(backupOf(t, "old"), path, time.Now(), func(Origin) error { return other })
	unchanged("not accepted", err, other.Error())

	s, err := Open(path, Options{})
	must(t, err)
	_, inUse := Restore(backupOf(t, "old"), path, time.Now(), anyOrigin)
	insert(t, s, "new", "b")
	must(t, s.Close())
	unchanged("in use", inUse, "is in use")
}

// A process that starts during a restore opens the restored store or fails: it never opens the old
// one.
func TestRestoreLocksOutWhoStartsMeanwhile(t *testing.T) {
	backup := backupOf(t, "old")
	for range 5 {
		path := closedStore(t, "new")
		done := make(chan bool)
		go func() {
			defer close(done)
			for {
				s, err := Open(path, Options{SweepInterval: -1})
				if err != nil {
					continue
				}
				laidAside, _ := filepath.Glob(path + ".before-restore-*")
				r, err := s.Load(t.Context(), kind, "a")
				if err != nil || len(laidAside) > 0 && string(r.Data) != "old" {
					t.Errorf("it started with %q, %v", r.Data, err)
				}
				must(t, s.Close())
				if string(r.Data) == "old" {
					return
				}
			}
		}()
		for {
			_, err := Restore(backup, path, time.Now(), anyOrigin)
			if err == nil {
				break
			}
			if !errors.Is(err, errInUse) {
				t.Fatal(err)
			}
		}
		<-done
	}
}

// There is always a file: without one, a server that starts would make new keys.
func TestRestoreReplacesAtOnce(t *testing.T) {
	path := closedStore(t, "new")
	backup := backupOf(t, "old")
	done, looked := make(chan struct{}), make(chan error)
	go func() {
		for {
			if _, err := os.Lstat(path); err != nil {
				looked <- err
				return
			}
			select {
			case <-done:
				looked <- nil
				return
			default:
			}
		}
	}()
	for i := range 5 {
		_, err := Restore(backup, path, time.Unix(int64(i), 0), anyOrigin)
		must(t, err)
	}
	close(done)
	must(t, <-looked)
}

// These variables tell the test binary that it is the process to be killed.
const (
	restoreFrom = "STORE_RESTORE_FROM"
	restoreTo   = "STORE_RESTORE_TO"
)

// A process that is killed during a restore leaves the old store or the restored one, never a
// mixture or nothing.
func TestRestoreKilled(t *testing.T) {
	if from := os.Getenv(restoreFrom); from != "" {
		fmt.Println("restoring")
		_, err := Restore(from, os.Getenv(restoreTo), time.Now(), anyOrigin)
		fmt.Println("done", err)
		return
	}
	large, err := Open(closedStore(t, "old"), Options{SweepInterval: -1})
	must(t, err)
	for i := range 100 {
		insert(t, large, strings.Repeat("x", store.MaxData), fmt.Sprint("large-", i))
	}
	backup := backUp(t, large)
	must(t, large.Close())
	was := map[string]int{}
	n := storetest.Rounds(t, 6, 30)
	for range n {
		path := closedStore(t, "new")
		child := exec.Command(os.Args[0], "-test.run=^TestRestoreKilled$", "-test.v")
		child.Env = append(os.Environ(), restoreFrom+"="+backup, restoreTo+"="+path)
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() == "restoring" {
				time.AfterFunc(time.Duration(rand.IntN(40_000))*time.Microsecond, func() { _ = child.Process.Kill() })
			}
		}
		_ = child.Wait()
		was[stored(t, path)]++
		sound(t, path)
	}
	t.Logf("%d rounds: %v", n, was)
	if was["old"]+was["new"] != n {
		t.Errorf("%v", was)
	}
}

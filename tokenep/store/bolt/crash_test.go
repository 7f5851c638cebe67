package bolt

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// These variables tell the test binary that it is the process to be killed.
const (
	crashFile  = "STORE_CRASH_FILE"  // the file to open
	crashRound = "STORE_CRASH_ROUND" // makes the ids of each round different
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashFile); path != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(path, os.Getenv(crashRound)))
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// writeUntilKilled writes from many goroutines, and prints a line for each write that was
// acknowledged: verb, id, version. A goroutine inserts an id, swaps it three times, and deletes
// every second one. So at most its next write is not acknowledged.
func writeUntilKilled(path, round string) error {
	s, err := Open(path, Options{SweepInterval: 10 * time.Millisecond})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for g := range 32 {
		go func() {
			for i := 0; ; i++ {
				if err := writeOne(s, fmt.Sprintf("%s-%d-%d", round, g, i), i%2 == 1); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

func writeOne(s *Store, id string, remove bool) error {
	r := store.Record{Kind: kind, ID: id, Data: []byte(id + " 1"), Expires: time.Now().Add(time.Hour)}
	if err := s.Insert(context.Background(), r); err != nil {
		return err
	}
	fmt.Printf("insert %s 1\n", id)
	for r.Version = 1; r.Version < 4; r.Version++ {
		next := r
		next.Data = fmt.Append(nil, id, " ", r.Version+1)
		next.Expires = r.Expires.Add(time.Duration(r.Version) * time.Minute)
		if err := s.Swap(context.Background(), r, next); err != nil {
			return err
		}
		fmt.Printf("swap %s %d\n", id, r.Version+1)
	}
	// Records for the sweep, which are not checked.
	junk := store.Record{Kind: kind, ID: id + "-junk", Expires: time.Now().Add(-time.Hour)}
	if err := s.Insert(context.Background(), junk); err != nil || !remove {
		return err
	}
	fmt.Printf("deleting %s 4\n", id)
	if err := s.Delete(context.Background(), kind, id); err != nil {
		return err
	}
	fmt.Printf("deleted %s 4\n", id)
	return nil
}

// acknowledged is the last acknowledged write of an id.
type acknowledged struct {
	verb    string
	version uint64
}

// What was acknowledged before a kill -9 is in the file after it. A file is used for some rounds
// only, and two files at a time: otherwise each round would check all writes of the rounds before
// it.
func TestKill(t *testing.T) {
	const of = 10
	n := storetest.Rounds(t, 10, 200)
	for first := 0; first < n; first += of {
		t.Run(fmt.Sprint("from ", first), func(t *testing.T) {
			t.Parallel()
			killRounds(t, min(of, n-first))
		})
	}
}

func killRounds(t *testing.T, n int) {
	path := file(t)
	said := map[string]acknowledged{}
	for round := range n {
		before := len(said)
		runAndKill(t, path, round, said)
		s := open(t, path, Options{SweepInterval: -1})
		for id, a := range said {
			checkAcknowledged(t, s, id, a)
		}
		must(t, s.Close())
		sound(t, path)
		if t.Failed() {
			t.Fatalf("round %d of %d", round+1, n)
		}
		t.Logf("round %d: %d records, all there", round+1, len(said)-before)
	}
	if len(said) == 0 {
		t.Error("no round acknowledged anything")
	}
}

// runAndKill starts a process that writes, kills it at a random moment, and adds to said what it
// acknowledged.
func runAndKill(t *testing.T, path string, round int, said map[string]acknowledged) {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	child := exec.Command(exe)
	child.Env = append(os.Environ(), crashFile+"="+path, crashRound+"="+strconv.Itoa(round))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())

	var kill sync.Once
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		kill.Do(func() { // the time runs from its first write
			time.AfterFunc(time.Duration(rand.IntN(100_000))*time.Microsecond, func() { _ = child.Process.Kill() })
		})
		var id string
		var a acknowledged
		if _, err := fmt.Sscan(lines.Text(), &a.verb, &id, &a.version); err != nil {
			t.Errorf("line %q: %v", lines.Text(), err)
		}
		said[id] = a
	}
	must(t, lines.Err())
	err = child.Wait()
	// Killed is -1 on Unix, and 1 on Windows.
	if code := child.ProcessState.ExitCode(); code != -1 && code != 1 {
		t.Fatalf("the process ended by itself: %v", err)
	}
}

func checkAcknowledged(t *testing.T, s *Store, id string, a acknowledged) {
	t.Helper()
	r, err := s.Load(t.Context(), kind, id)
	switch {
	case a.verb == "deleted":
		if err == nil {
			t.Errorf("%s was deleted, and is back as version %d", id, r.Version)
		}
	case err != nil:
		if a.verb != "deleting" {
			t.Errorf("%s was stored as version %d, and is lost: %v", id, a.version, err)
		}
	case r.Version < a.version || r.Version > a.version+1:
		t.Errorf("%s was stored as version %d, and is version %d", id, a.version, r.Version)
	case string(r.Data) != fmt.Sprint(id, " ", r.Version):
		t.Errorf("%s version %d has the data %q", id, r.Version, r.Data)
	}
}

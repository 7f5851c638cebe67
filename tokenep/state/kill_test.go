package state_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record/enginetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
)

// What was acknowledged before the process with the bolt file was killed holds after it: nothing
// single-use is spent twice, no code gives two families, no family has two lines, and each client
// can go on from the newest token that it has.
func TestKilledProcessLosesAndRepeatsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	for round := range storetest.Rounds(t, 3, 20) {
		sessions := runAndKill(t, path, round)
		s := enginetest.OpenBolt(t, path, time.Now)
		checkSessions(t, s, sessions, round)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The same when it is the server of the engine that is killed, under two nodes.
func TestKilledServerLosesAndRepeatsNothing(t *testing.T) {
	for name, engine := range map[string]struct {
		start func(...string) (*servertest.Process, error)
		open  enginetest.Opener
	}{
		"redis":    {servertest.Redis, enginetest.Redis},
		"postgres": {servertest.Postgres, enginetest.Postgres},
	} {
		t.Run(name, func(t *testing.T) {
			server := servertest.For(t, engine.start)
			var nodes [2]store.Store
			for i := range nodes {
				nodes[i] = engine.open.ForTest(t, server.URL, "killed")
			}
			for round := range storetest.Rounds(t, 2, 5) {
				sessions := workUntilKilled(t, nodes, round, server.Kill)
				if err := server.Start(); err != nil {
					t.Fatal(err)
				}
				for _, s := range nodes {
					waitFor(t, s)
				}
				checkSessions(t, nodes[round%2], sessions, round)
			}
		})
	}
}

// runAndKill has a process do sessions, and kills it at a random moment.
func runAndKill(t *testing.T, path string, round int) map[string]told {
	t.Helper()
	cmd := child(t, "sessions", path, fmt.Sprint(round))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kill sync.Once
	sessions := make(map[string]told)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		kill.Do(func() { time.AfterFunc(anyMoment(), func() { _ = cmd.Process.Kill() }) })
		var said acknowledged
		if err := json.Unmarshal(lines.Bytes(), &said); err != nil {
			t.Errorf("line %q: %v", lines.Text(), err)
		}
		note(sessions, said)
	}
	err = cmd.Wait()
	// A process that was killed has -1 on Unix, and 1 on Windows.
	if code := cmd.ProcessState.ExitCode(); code != -1 && code != 1 {
		t.Fatalf("the process ended by itself: %v", err)
	}
	return sessions
}

// anyMoment is how long from its first answer on something may work until it is killed.
func anyMoment() time.Duration { return time.Duration(rand.IntN(300_000)) * time.Microsecond }

func note(sessions map[string]told, said acknowledged) {
	if sessions[said.Session] == nil {
		sessions[said.Session] = make(told)
	}
	sessions[said.Session][said.Step] = append(sessions[said.Session][said.Step], said)
}

// sessionsUntilKilled is the process: a store's path and a name for its sessions.
func sessionsUntilKilled(path, round string) error {
	s, err := enginetest.BoltFile(path, time.Now)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	say := func(a acknowledged) {
		mu.Lock()
		defer mu.Unlock()
		if err := out.Encode(a); err != nil {
			os.Exit(1)
		}
	}
	failed := make(chan error)
	for g := range 32 {
		go func() { failed <- manySessions(newIssuer(s, time.Now), fmt.Sprint(round, "-", g), say) }()
	}
	return <-failed
}

// manySessions does one session after the other, until one fails.
func manySessions(i *issuer, name string, say func(acknowledged)) error {
	for n := rand.IntN(100); ; n++ {
		if err := i.session(context.Background(), fmt.Sprint(name, "-", n), n, say); err != nil {
			return err
		}
	}
}

// workUntilKilled does sessions at both nodes, and kills the server at a random moment.
func workUntilKilled(t *testing.T, nodes [2]store.Store, round int, kill func()) map[string]told {
	t.Helper()
	sessions := make(map[string]told)
	var mu sync.Mutex
	var once sync.Once
	var working sync.WaitGroup
	for g := range 16 {
		working.Go(func() {
			err := manySessions(newIssuer(nodes[g%2], time.Now), fmt.Sprint(round, "-", g), func(a acknowledged) {
				mu.Lock()
				defer mu.Unlock()
				note(sessions, a)
				once.Do(func() { working.Go(func() { time.Sleep(anyMoment()); kill() }) })
			})
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("the server was killed: %v, want store.ErrUnavailable", err)
			}
		})
	}
	working.Wait()
	return sessions
}

// waitFor waits until a node has found its server again.
func waitFor(t *testing.T, s store.Store) {
	t.Helper()
	var err error
	for range 200 {
		if _, err = s.Load(t.Context(), "none", "none"); errors.Is(err, store.ErrNotFound) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the server is back, and yet: %v", err)
}

// checkSessions looks at the state as a node does that has just started.
func checkSessions(t *testing.T, s store.Store, sessions map[string]told, round int) {
	t.Helper()
	i := newIssuer(s, time.Now)
	if err := i.log.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	free := make(chan struct{}, 32)
	reuse, steps := false, 0
	for _, session := range sessions {
		for _, of := range session {
			steps += len(of)
		}
		how := reuse
		reuse = !reuse
		free <- struct{}{}
		wg.Go(func() {
			session.check(t, i, how)
			<-free
		})
	}
	wg.Wait()
	if t.Failed() || len(sessions) == 0 {
		t.Fatalf("round %d, of %d sessions", round+1, len(sessions))
	}
	t.Logf("round %d: %d steps of %d sessions, none lost or done twice", round+1, steps, len(sessions))
}

// child is a process that is this test once more, in another role.
func child(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), childRole+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

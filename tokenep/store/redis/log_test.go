package redis

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// go-redis has one logger for the whole process, for all of its clients. The test runs in a process
// of its own, where that logger writes to the standard error.
func TestLoggerOfTheProcessIsLeftAlone(t *testing.T) {
	if os.Getenv("OTHER_CLIENT") != "" {
		open(t, "redis://127.0.0.1:1", Options{})
		other := redis.NewClient(&redis.Options{Addr: "127.0.0.1:2", DialerRetries: 1, MaxRetries: -1})
		defer func() { _ = other.Close() }()
		if err := other.Ping(t.Context()).Err(); err == nil {
			t.Error("there is a Redis at port 2")
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "OTHER_CLIENT=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "failed to dial") || !strings.Contains(string(out), "127.0.0.1:2") {
		t.Errorf("go-redis has not logged the failed connection of another client: %v\n%s", err, out)
	}
}

// While Redis is unavailable, go-redis logs a limited number of failed connections, without the
// password.
func TestFewLinesAreLogged(t *testing.T) {
	if os.Getenv("MANY_VERBS") != "" {
		s := open(t, "redis://:"+secret+"@127.0.0.1:1?pool_size=8", Options{})
		for range 500 {
			_, _ = s.Load(t.Context(), kind, "a")
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "MANY_VERBS=1")
	out, err := cmd.CombinedOutput()
	n := strings.Count(string(out), "failed to dial")
	if err != nil || n == 0 || n > 20 || strings.Contains(string(out), secret) {
		t.Errorf("500 verbs logged %d failed connections, of a pool of 8: %v\n%s", n, err, out)
	}
}

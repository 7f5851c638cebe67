package servertest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// Shared is a Process that most tests of a package use, each with a namespace of its own. It is
// started by the first call of URL, and ended by Main.
type Shared struct {
	start   func() (*Process, error)
	started atomic.Bool
}

// Share returns a Process for the tests of a package, not started yet. It need not be durable, and
// the settings should say so.
func Share(start func(...string) (*Process, error), settings ...string) *Shared {
	s := &Shared{}
	s.start = sync.OnceValues(func() (*Process, error) {
		s.started.Store(true)
		return start(settings...)
	})
	return s
}

// Main is for TestMain: it runs the tests, ends the Process, and returns the exit code.
func (s *Shared) Main(m *testing.M) int {
	code := m.Run()
	if s.started.Load() {
		if server, err := s.start(); err == nil {
			server.Close()
		}
	}
	return code
}

// URL returns the URL of the Process. If the database server is not installed, the test is skipped
// or fails, like For.
func (s *Shared) URL(tb testing.TB) string {
	tb.Helper()
	server, err := s.start()
	Check(tb, err)
	return server.URL
}

var namespaces atomic.Int32

// Namespace returns a namespace that no other test of this process has.
func Namespace() string { return fmt.Sprint("test-", namespaces.Add(1)) }

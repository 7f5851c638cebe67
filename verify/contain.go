package verify

import (
	"fmt"
	"runtime/debug"
)

// Contain calls f, and returns a panic in it as an error. It is for goroutines in the background: a
// panic there ends the process, while one in a handler ends a request, since net/http recovers it.
func Contain(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a panic: %v; %s", p, debug.Stack())
		}
	}()
	return f()
}

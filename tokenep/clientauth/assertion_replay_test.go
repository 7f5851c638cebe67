package clientauth_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/clientauth"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// RFC 7523 §3, point 7: an assertion is good once, at all endpoints together, and is not spent by a
// request in which it was found bad.
func TestAssertionReplay(t *testing.T) {
	robot, other := newAsserter("robot"), newAsserter("other")
	f := newAssertions(t, robot, other)
	same := claims{"jti": "one", "exp": f.Clock.Now().Unix() + 600}
	refused := func(r request) {
		t.Helper()
		f.Send(t, r).Refused(t, 401, tokenep.InvalidClient)
	}
	refused(by(robot.assertion(same, verifytest.SignedBy(other.Issuer)))) // does not spend it
	refused(by(robot.assertion(same), "client_id", "other"))
	f.Granted(t, by(robot.assertion(same)))
	refused(by(robot.assertion(same)))
	refused(post("token", "x", "client_assertion_type", clientauth.AssertionType, "client_assertion", robot.assertion(same)).At(tokeneptest.RevokePath))
	f.Granted(t, by(other.assertion(same))) // the jti of another client
	f.Clock.Advance(620 * time.Second)      // within the leeway
	refused(by(robot.assertion(same)))

	// What is refused after the client was authenticated has spent it all the same.
	next := robot.assertion(claims{"jti": "two"})
	f.Send(t, by(next, "scope", "none")).Refused(t, 400, tokenep.InvalidScope)
	refused(by(next))

	f.Store.SetAway(true)
	later := robot.assertion(nil)
	f.Send(t, by(later)).Refused(t, 503, tokenep.TemporarilyUnavailable)
	f.Store.SetAway(false)
	f.Granted(t, by(later))
}

// Twenty requests with one assertion, at once: exactly one passes.
func TestAssertionReplayAtOnce(t *testing.T) {
	robot := newAsserter("robot")
	f := newAssertions(t, robot)
	for range 5 {
		r := by(robot.assertion(nil))
		var granted atomic.Int64
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				switch a := f.Send(t, r); a.Status {
				case http.StatusOK:
					granted.Add(1)
				case http.StatusUnauthorized:
				default:
					t.Errorf("%d %s", a.Status, a.Body)
				}
			})
		}
		all.Wait()
		if n := granted.Load(); n != 1 {
			t.Errorf("%d of 20 requests with one assertion passed", n)
		}
	}
}

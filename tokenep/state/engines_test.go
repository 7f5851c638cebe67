package state_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/internal/record/enginetest"
	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

type clock = verifytest.Clock

var (
	newClock       = enginetest.NewClock
	newMemory      = enginetest.Memory
	newBolt        = enginetest.Bolt
	onEachStore    = enginetest.EachStore
	onEachDatabase = enginetest.EachDatabase
)

// childRole is the variable of the environment that has a process of this test do something else
// than run tests.
const childRole = "STATE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(childRole); role {
	case "":
	case "sessions":
		fmt.Fprintln(os.Stderr, sessionsUntilKilled(os.Args[1], os.Args[2]))
		os.Exit(3)
	case "peer":
		if err := peerProcess(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	default:
		fmt.Fprintln(os.Stderr, "no role", role)
		os.Exit(3)
	}
	os.Exit(enginetest.Main(m))
}

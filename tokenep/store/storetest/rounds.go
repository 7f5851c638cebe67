package storetest

import (
	"os"
	"strconv"
	"testing"
)

// KillRounds is the environment variable with the number of rounds of each test that kills a
// process.
const KillRounds = "KILL_ROUNDS"

// Rounds returns the number of rounds of a test that finds more the longer it runs: KILL_ROUNDS if
// it is set; otherwise 2 with -short, ci with CI=true, and desk.
func Rounds(t testing.TB, desk, ci int) int {
	t.Helper()
	switch {
	case os.Getenv(KillRounds) != "":
		n, err := strconv.Atoi(os.Getenv(KillRounds))
		if err != nil || n < 1 {
			t.Fatalf("%s=%q must be a number of rounds", KillRounds, os.Getenv(KillRounds))
		}
		return n
	case testing.Short():
		return 2
	case onCI():
		return ci
	}
	return desk
}

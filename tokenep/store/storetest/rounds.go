package storetest

import (
	"os"
	"strconv"
	"testing"
)

// KillRounds is the variable of the environment that says how many rounds each
// test does that kills a process or a server.
const KillRounds = "KILL_ROUNDS"

// Rounds returns how many rounds a test does that is worth more the longer it
// runs: what KILL_ROUNDS says; else 2 with -short, ci with CI=true, and desk.
func Rounds(t testing.TB, desk, ci int) int {
	t.Helper()
	switch {
	case os.Getenv(KillRounds) != "":
		n, err := strconv.Atoi(os.Getenv(KillRounds))
		if err != nil || n < 1 {
			t.Fatalf("%s=%q, want a number of rounds", KillRounds, os.Getenv(KillRounds))
		}
		return n
	case testing.Short():
		return 2
	case onCI():
		return ci
	}
	return desk
}

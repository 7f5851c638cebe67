package caddymodule_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/caddymodule/testdata/thirdparty/shelf"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/testdata/thirdparty/voucher" // the grant of third_party.txtar
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// A store from outside is held to the same contract as those that are here.
func TestThirdPartyStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return shelf.New() })
}

// A grant with an option and an endpoint, and a store, cost their own files: nothing else knows of
// them. testdata/script/third_party.txtar runs them.
func TestThirdPartyTouchesNothingElse(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "git", "grep", "-lEi", "voucher|shelf", "--", "*.go").Output()
	if err != nil {
		t.Skip("git grep:", err) // an archive without its history has nothing to count
	}
	for _, file := range strings.Fields(string(out)) {
		if !strings.HasPrefix(file, "testdata/thirdparty/") && file != "thirdparty_test.go" {
			t.Errorf("%s knows of the grant or the store of a third party", file)
		}
	}
}

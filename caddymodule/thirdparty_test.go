package caddymodule_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/tokenep/caddy-tokenep/caddymodule/testdata/thirdparty/doorman"
	"github.com/tokenep/caddy-tokenep/caddymodule/testdata/thirdparty/shelf"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/testdata/thirdparty/voucher"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest"
)

// A store from outside is held to the same contract as those that are here.
func TestThirdPartyStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return shelf.New() })
}

// A grant with an option and an endpoint, and a store, cost their own files: nothing else that is
// built knows of them. testdata/script/third_party.txtar runs them.
func TestThirdPartyTouchesNothingElse(t *testing.T) {
	for _, file := range sources(t) {
		if strings.HasSuffix(file.path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file.path))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"voucher", "shelf"} {
			if strings.Contains(strings.ToLower(string(text)), name) {
				t.Errorf("%s knows of %s, which a third party brings", file.path, name)
			}
		}
	}
}

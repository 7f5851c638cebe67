package caddymodule_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthstore/boltstore"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// The proxy is killed after each single write of each step that writes. What was half done is
// finished, or is good for nothing: a code has one family or none, and what ends, ends when it is
// asked for once more.
func TestKilledAfterEachWriteOfACodeFlow(t *testing.T) {
	for name, client := range flowClients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := killable{newProxy(t, "store mortal %DIR%/state.db"), ""}
			k.more = flowOptions
			k.mustStart()
			for _, w := range writers(client) {
				n := 0
				for k.diesAfterWrite(t, client, w, n+1) && !t.Failed() {
					n++
				}
				t.Logf("%s: %d writes", w.step.name, n)
				if n == 0 || t.Failed() {
					t.Fatalf("%s: killed after write %d", w.step.name, n)
				}
			}
		})
	}
}

// A writer is a step that writes, and the flow around it.
type writer struct {
	before []flowStep
	step   flowStep
	rest   []flowStep
}

// writers returns the steps of a client that write, and what somebody does who has a copy of what
// is spent.
func writers(client flowClient) (all []writer) {
	replay := flowStep{"a code once more", (*codeFlow).redeem, http.StatusBadRequest}
	reuse := flowStep{"a refresh token once more", (*codeFlow).reuse, http.StatusBadRequest}
	steps := client.steps()
	for i, step := range steps {
		switch own := (writer{steps[:i], step, steps[i+1:]}); {
		case step.name == "allow": // which is stored differently for each
			all = append(all, own)
		case !client.public(): // has no other writes
		case step.name == "redeem", step.name == "revoke":
			all = append(all, own)
		case step.name == "refresh":
			all = append(all, own, writer{steps[:i], replay, nil})
		case step.name == "introspect":
			all = append(all, writer{steps[:i], reuse, nil})
		}
	}
	return all
}

// diesAfterWrite takes a step in a new flow, and reports whether the proxy has died after its n-th
// write, and was not done before. Whoever has no answer then repeats the step.
func (k killable) diesAfterWrite(t *testing.T, client flowClient, w writer, n int) bool {
	f := &codeFlow{proxy: k.proxy, client: client, user: fmt.Sprintf("%s, killed after write %d", w.step.name, n)}
	f.through(t, w.before)
	p := person{flow: *f, steps: append([]flowStep{w.step}, w.rest...)}
	left := k.path("state.db") + mortality
	writeFile(t, left, strconv.Itoa(n))
	a := w.step.take(f)
	if a.status != 0 {
		_ = os.Remove(left)
		a.want(t, f.user, w.step.status)
		return false
	}
	select {
	case <-k.done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: no answer from a proxy that lives: %s", f.user, a.body)
	}
	k.dies()
	p.afterKill(t)
	return true
}

func init() { caddy.RegisterModule(new(mortalOpener)) }

// mortalOpener is the bolt store of a process that dies as if by kill -9, after a write.
type mortalOpener struct{ boltstore.Store }

func (*mortalOpener) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "oauth_server.stores.mortal", New: func() caddy.Module { return new(mortalOpener) }}
}

func (o *mortalOpener) Open(location string, logger *slog.Logger) (store.Store, error) {
	s, err := o.Store.Open(location, logger)
	return &mortalStore{Store: s, left: location + mortality}, err
}

var _ oauthserver.StoreOpener = (*mortalOpener)(nil)

// mortality is appended to the path of the store: that file has the number of writes until the
// process dies.
const mortality = ".mortality"

type mortalStore struct {
	store.Store
	mu   sync.Mutex
	left string
}

func (s *mortalStore) Insert(ctx context.Context, r store.Record) error {
	return s.wrote(s.Store.Insert(ctx, r))
}

func (s *mortalStore) Swap(ctx context.Context, old, next store.Record) error {
	return s.wrote(s.Store.Swap(ctx, old, next))
}

func (s *mortalStore) Delete(ctx context.Context, kind, id string) error {
	return s.wrote(s.Store.Delete(ctx, kind, id))
}

// wrote counts a write that has happened.
func (s *mortalStore) wrote(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, missing := os.ReadFile(s.left)
	if err != nil || missing != nil {
		return err
	}
	left, err := strconv.Atoi(string(text))
	if err != nil {
		return err
	}
	if left--; left > 0 {
		return os.WriteFile(s.left, []byte(strconv.Itoa(left)), 0o600)
	}
	if err := os.Remove(s.left); err != nil {
		return err
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	_ = self.Kill()
	select {} // until it is dead
}

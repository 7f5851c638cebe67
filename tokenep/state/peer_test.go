package state_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/internal/record/enginetest"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

// A Peer is a node in a process of its own. It does what it reads from its input, and writes what
// came of it.
type Peer struct {
	*issuer
	ring *keys.Ring
	late atomic.Int64 // how far the clock of the keys is ahead, in days
}

// An Order is something to do, with the text that it is about.
type Order struct{ Do, Text string }

// An Outcome is what came of it: a text, or which error.
type Outcome struct{ Text, Error string }

// refusals are the errors that a peer tells apart.
var refusals = []error{
	state.ErrSpent, state.ErrRevoked, state.ErrReused, state.ErrExpired, state.ErrUnknown, state.ErrRolledAPIToken,
	state.ErrRevokedAPIToken, state.ErrUnknownAPIToken, store.ErrExists, tokenep.InvalidClient,
}

var orders = map[string]func(ctx context.Context, p *Peer, text string) (string, error){
	"sign in": func(ctx context.Context, p *Peer, user string) (string, error) {
		code, _, err := p.signIn(ctx, user)
		return code, err
	},
	"redeem":  func(ctx context.Context, p *Peer, code string) (string, error) { return p.redeem(ctx, code) },
	"refresh": func(ctx context.Context, p *Peer, token string) (string, error) { return p.refresh(ctx, token) },
	"family": func(ctx context.Context, p *Peer, token string) (string, error) {
		f, err := p.families.Inspect(ctx, token)
		return f.ID, err
	},
	"start device": func(ctx context.Context, p *Peer, user string) (string, error) { return p.allowedDevice(ctx, user) },
	"poll": func(ctx context.Context, p *Peer, code string) (string, error) {
		d, err := poll(ctx, p.devices, code, anyDevice)
		return d.Subject, err
	},
	"see": func(ctx context.Context, p *Peer, id string) (string, error) {
		return id, p.seen.Add(ctx, "peer", id, p.now().Add(time.Minute))
	},
	"create": func(ctx context.Context, p *Peer, owner string) (string, error) {
		token, _, err := p.tokens.Create(ctx, ask(owner))
		return token, err
	},
	"exchange": func(ctx context.Context, p *Peer, token string) (string, error) {
		t, err := exchange(ctx, p.tokens, token)
		return t.ID, err
	},
	"roll": func(ctx context.Context, p *Peer, id string) (string, error) {
		token, _, err := p.tokens.Roll(ctx, id, 0)
		return token, err
	},
	"end": func(ctx context.Context, p *Peer, id string) (string, error) { return id, p.tokens.Revoke(ctx, id, "") },
	"add client": func(ctx context.Context, p *Peer, id string) (string, error) {
		c := billing()
		c.ID = id
		return p.clients.Add(ctx, c)
	},
	"load client": func(ctx context.Context, p *Peer, id string) (string, error) {
		c, err := p.clients.Load(ctx, id)
		if err != nil {
			return "", err
		}
		return c.Secrets[0].Hash, nil
	},
	"remove client": func(ctx context.Context, p *Peer, id string) (string, error) { return id, p.clients.Remove(ctx, id) },
	"revoke":        func(ctx context.Context, p *Peer, jti string) (string, error) { return jti, p.revoke(ctx, jti) },
	"revoked": func(_ context.Context, p *Peer, jti string) (string, error) {
		return strconv.FormatBool(p.revoked(jti)), nil
	},
	"grant revoked": func(_ context.Context, p *Peer, id string) (string, error) {
		return strconv.FormatBool(p.grantRevoked(id)), nil
	},
	"turn keys": func(ctx context.Context, p *Peer, days string) (string, error) {
		n, err := strconv.ParseInt(days, 10, 64)
		if err != nil {
			return "", err
		}
		p.late.Store(n)
		return "", p.ring.Refresh(ctx)
	},
	"active key": func(_ context.Context, p *Peer, _ string) (string, error) {
		key, err := p.ring.Active()
		if err != nil {
			return "", err
		}
		return key.ID, nil
	},
	"key set": func(_ context.Context, p *Peer, _ string) (string, error) {
		body, _ := p.ring.Current().JWKS()
		return string(body), nil
	},
}

// Do is what a peer is asked for.
func (p *Peer) Do(o Order, outcome *Outcome) error {
	do := orders[o.Do]
	if do == nil {
		return fmt.Errorf("what is %q", o.Do)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	text, err := do(ctx, p, o.Text)
	if err == nil {
		outcome.Text = text
		return nil
	}
	for _, known := range refusals {
		if errors.Is(err, known) {
			outcome.Error = known.Error()
			return nil
		}
	}
	return err
}

// peerProcess is the process: the engine, the URL and the namespace of its store, and how many days
// its keys are ahead.
func peerProcess(engine, url, namespace, days string) error {
	open := enginetest.Redis
	if engine == "postgres" {
		open = enginetest.Postgres
	}
	s, _, err := open(url, namespace)
	if err != nil {
		return err
	}
	p := &Peer{issuer: newIssuer(s, time.Now)}
	ahead, err := strconv.ParseInt(days, 10, 64)
	if err != nil {
		return err
	}
	p.late.Store(ahead)
	p.ring, err = keys.New(keys.Options{
		Store: s, Retain: day(1), Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Now().Add(day(int(p.late.Load()))) },
	})
	if err != nil {
		return err
	}
	if err := p.ring.Start(context.Background()); err != nil {
		return err
	}
	if err := p.log.Start(context.Background()); err != nil {
		return err
	}
	if err := rpc.Register(p); err != nil {
		return err
	}
	jsonrpc.ServeConn(stdio{os.Stdin, os.Stdout})
	return nil
}

type stdio struct {
	io.ReadCloser
	io.WriteCloser
}

func (s stdio) Close() error { return errors.Join(s.ReadCloser.Close(), s.WriteCloser.Close()) }

// A remote is a Peer, seen from the test.
type remote struct {
	cmd    *exec.Cmd
	client *rpc.Client
}

// startPeer starts the process. It ends with the test, or when it is killed.
func startPeer(t *testing.T, args ...string) *remote {
	t.Helper()
	cmd := child(t, "peer", args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &remote{cmd, jsonrpc.NewClient(stdio{out, in})}
	t.Cleanup(r.kill)
	return r
}

// kill ends the process as kill -9 does.
func (r *remote) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.client.Close()
	_ = r.cmd.Wait()
}

// do has the peer do something, and returns what came of it: an error is one of refusals.
func (r *remote) do(t *testing.T, what, text string) (string, error) {
	t.Helper()
	var outcome Outcome
	if err := r.client.Call("Peer.Do", Order{what, text}, &outcome); err != nil {
		t.Errorf("%s %q: %v", what, text, err)
		return "", err
	}
	for _, known := range refusals {
		if outcome.Error == known.Error() {
			return "", known
		}
	}
	return outcome.Text, nil
}

// must has the peer do what has to succeed.
func (r *remote) must(t *testing.T, what, text string) string {
	t.Helper()
	got, err := r.do(t, what, text)
	if err != nil {
		t.Fatalf("%s %q: %v", what, text, err)
	}
	return got
}

// refuses has the peer do what has to fail.
func (r *remote) refuses(t *testing.T, what, text string, want error) {
	t.Helper()
	if got, err := r.do(t, what, text); !errors.Is(err, want) {
		t.Errorf("%s %q: %q, %v, want %v", what, text, got, err, want)
	}
}

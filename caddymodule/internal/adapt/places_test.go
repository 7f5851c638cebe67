package adapt_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
)

const written = `oauth_server {
	signing_key a.pem
	signing_key b.pem
	client one {
		secret {env.ONE}
	}
	client two {
		secret {env.TWO}
		grants client_credentials
	}
	pages {
		folder x
	}
}`

// What a load finds wrong is in the innermost line that is known.
func TestPlaces(t *testing.T) {
	plain := errors.New("wrong")
	p := adapt.PlacesIn(caddyfile.NewTestDispenser(written))
	for _, c := range []struct {
		err  error
		line int
	}{
		{plain, 1},
		{adapt.Of("nothing", plain), 1},
		{adapt.Of("signing_key b.pem", plain), 3},
		{adapt.Of("signing_key", plain), 1}, // one of two
		{fmt.Errorf("client two: %w", adapt.Of("client two", fmt.Errorf("secret: %w", adapt.Of("secret", plain)))), 8},
		{adapt.Of("client three", adapt.Of("secret", plain)), 1},
		{adapt.Of("pages", adapt.Of("folder", plain)), 12},
	} {
		want := fmt.Sprintf("%s, at Testfile:%d", c.err, c.line)
		if err := p.Locate(c.err); err.Error() != want || !errors.Is(err, plain) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if about := adapt.Elsewhere(plain); p.Locate(about).Error() != plain.Error() || !errors.Is(about, plain) {
		t.Error(p.Locate(about))
	}
	if p.Locate(nil) != nil || (*adapt.Places)(nil).Locate(plain) != plain { //nolint:errorlint // it is this one
		t.Error("an error was made")
	}
}

// A warning has its line, and whatever is no warning has none.
func TestPlacesOfWarnings(t *testing.T) {
	p := adapt.PlacesIn(caddyfile.NewTestDispenser(written))
	var log bytes.Buffer
	l := p.Logger(slog.New(slog.NewTextHandler(&log, nil))).With("server", "default")
	for want, say := range map[string]func(){
		"at=Testfile:7":   func() { l.Warn("it does nothing", "client", "two") },
		"at=Testfile:9":   func() { l.With("client", "two").Warn("it does nothing", "grants", "x") },
		"at=Testfile:11":  func() { l.Warn("pages: they are odd") },
		"at=Testfile:1\n": func() { l.Warn("it is odd") },
		"msg=fine":        func() { l.Info("fine", "client", "two") },
	} {
		log.Reset()
		if say(); !strings.Contains(log.String(), want) {
			t.Errorf("want %q in %s", want, log.String())
		}
		if want == "msg=fine" && strings.Contains(log.String(), "Testfile") {
			t.Error(log.String())
		}
	}
}

// The lines are those of the load that follows, and of no later one.
func TestPlacesAreOfOneLoad(t *testing.T) {
	config := map[string]string{"issuer": "https://a.example"}
	p := adapt.PlacesIn(caddyfile.NewTestDispenser(written))
	first, end := caddy.NewContext(caddy.Context{Context: t.Context()})
	second, endSecond := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer end()
	defer endSecond()
	if adapt.PlacesOf(first, config) != nil {
		t.Error("places of nothing")
	}
	p.Remember(config, nil)
	if adapt.PlacesOf(first, map[string]string{"issuer": "https://b.example"}) != nil {
		t.Error("places of something else")
	}
	for range 2 { // routes that are alike
		if adapt.PlacesOf(first, config) != p {
			t.Error("no places")
		}
	}
	if adapt.PlacesOf(second, config) != nil {
		t.Error("places of another load")
	}
	p.Remember(config, nil)
	if adapt.PlacesOf(second, config) != p {
		t.Error("no places of a new load")
	}
}

package caddymodule_test

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

func init() {
	caddy.RegisterModule(new(shortLife))
	caddy.RegisterModule(new(noExtension))
}

// shortLife is an extension of a third party: it sets the lifetime of access tokens.
type shortLife struct {
	Life caddy.Duration `json:"life,omitempty"`
}

func (*shortLife) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "oauth_server.grants.test_short_life", New: func() caddy.Module { return new(shortLife) }}
}

// UnmarshalCaddyfile reads
//
//	grant test_short_life <duration>
func (l *shortLife) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the module
	if !d.NextArg() {
		return d.ArgErr()
	}
	life, err := caddy.ParseDuration(d.Val())
	l.Life = caddy.Duration(life)
	return err
}

func (l *shortLife) Extend(c *server.Config) error {
	if l.Life <= 0 {
		return errors.New("life must be positive")
	}
	c.TokenTTL = time.Duration(l.Life)
	return nil
}

// noExtension is in the namespace, but is not an extension.
type noExtension struct{}

func (*noExtension) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "oauth_server.grants.test_none", New: func() caddy.Module { return new(noExtension) }}
}

// A module of the namespace oauth_server.grants changes the configuration of the server.
func TestExtension(t *testing.T) {
	c := newCaddy(t)
	c.mustLoad(runServer("memory", "grant test_short_life 7m"), site(""))
	a := c.post("/oauth/token", marker, "grant_type", "client_credentials").want(t, "token", http.StatusOK)
	// Seven minutes. iat is rounded down.
	if !regexp.MustCompile(`"expires_in":4(19|20)\b`).MatchString(a.body) {
		t.Errorf("the extension had no say: %s", a.body)
	}
}

func TestExtensionErrors(t *testing.T) {
	c := newCaddy(t)
	for name, row := range map[string]struct{ grants, want string }{
		"its own error":    {`{"test_short_life":{"life":-1}}`, "grant test_short_life: life must be positive"},
		"not an extension": {`{"test_none":{}}`, "grant test_none: *caddymodule_test.noExtension does not implement"},
		"not there":        {`{"test_missing":{}}`, "unknown module: oauth_server.grants.test_missing"},
		"unknown member":   {`{"test_short_life":{"lief":1}}`, `unknown field "lief"`},
	} {
		err := c.validate([]byte(`{"apps":{"oauth_server":{"servers":{"default":{
			"issuer":"https://a.example","store":{"module":"memory"},"grants":` + row.grants + `}}}}}`))
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %s", name, err, row.want)
		}
	}
}

// Interface guards
var (
	_ oauthserver.Extension = (*shortLife)(nil)
	_ caddyfile.Unmarshaler = (*shortLife)(nil)
)

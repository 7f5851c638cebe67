package sites

import (
	"context"
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Checked calls a check of all sites, once for each configuration. An app embeds it, provisioned
// with its context, and calls Start and Cleanup when it is started and cleaned up: only then are
// all sites provisioned.
type Checked struct {
	ctx     caddy.Context
	check   func(*caddyhttp.App)
	started bool
}

// Check returns what calls check for the configuration of a context.
func Check(ctx caddy.Context, check func(*caddyhttp.App)) Checked {
	return Checked{ctx: ctx, check: check}
}

// Start calls the check.
func (c *Checked) Start() {
	c.started = true
	c.call()
}

// Cleanup calls the check of a configuration that was never to start: that of "caddy validate". One
// that cannot be loaded is cleaned up before its context ends, or because of an error, which the
// cause of that end wraps.
func (c *Checked) Cleanup() {
	if c.check == nil || c.started {
		return
	}
	if cause := context.Cause(c.ctx); cause != nil && errors.Unwrap(cause) == nil {
		c.call()
	}
}

func (c *Checked) call() {
	if sites, err := c.ctx.AppIfConfigured("http"); err == nil {
		c.check(sites.(*caddyhttp.App))
	}
}

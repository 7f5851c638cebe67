package oauthserver

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// DeviceCode offers the device code grant (RFC 8628) to all clients that may use it, also to those
// that are registered at run time.
type DeviceCode struct {
	// How long a user has to type the code and decide: 1s to 1h. Default: 10m.
	Life caddy.Duration `json:"life,omitempty"`

	// How long a device waits from one question to the next, at the beginning: 1s to 1m. Default:
	// 5s.
	Interval caddy.Duration `json:"interval,omitempty"`

	// How many codes the devices of all addresses together may ask for in an hour, on each node: 1
	// to 1000000. Each takes room in the store until its life is over. One address has 120 an hour
	// whatever this is. Default: 20000.
	PerHour int `json:"per_hour,omitempty"`
}

func (c *DeviceCode) config() server.DeviceCode {
	if c == nil {
		return server.DeviceCode{}
	}
	return server.DeviceCode{Offered: true, Life: time.Duration(c.Life), Interval: time.Duration(c.Interval), PerHour: c.PerHour}
}

func (c *DeviceCode) check() error {
	if err := c.config().Validate(); err != nil {
		return fmt.Errorf("device_code: %w", err)
	}
	return nil
}

package oauthserver

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
)

// parseDeviceCode reads the rules for devices that wait for a user. Syntax:
//
//	device_code {
//	    life     <duration>
//	    interval <duration>
//	    per_hour <number>
//	}
//
// The block can be left out.
func (s *AuthorizationServer) parseDeviceCode(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("device_code takes no argument")
	}
	c := new(DeviceCode)
	s.DeviceCode = c
	block := *d // stays where the block begins
	err := adapt.Block(d, func(option string) error {
		switch option {
		case "life":
			return adapt.Duration(d, &c.Life, tokenep.CheckLife)
		case "interval":
			return adapt.Duration(d, &c.Interval, tokenep.CheckLife)
		case "per_hour":
			return adapt.Count(d, &c.PerHour)
		default:
			return adapt.Unknown(d)
		}
	})
	if err != nil {
		return err
	}
	return adapt.Located(&block, c.check())
}

package server

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
)

// DeviceCode are the rules for devices that wait for a user (RFC 8628). The zero value has the
// defaults.
type DeviceCode struct {
	// Offered offers the grant to clients that are registered at run time. A configured client that
	// may use it does so as well.
	Offered bool

	Life     time.Duration // of a code; default: state.DefaultDeviceLife
	Interval time.Duration // between two polls; default: state.DefaultPollInterval
	PerHour  int           // codes of all devices in an hour; default: 20000
}

// Validate returns what is wrong with the rules.
func (d DeviceCode) Validate() error {
	switch {
	case d.Life != 0 && (d.Life < time.Second || d.Life > state.MaxDeviceLife):
		return fmt.Errorf("a device code must live for 1s to %s; it is %s", state.MaxDeviceLife, d.Life)
	case d.Interval != 0 && (d.Interval < time.Second || d.Interval > time.Minute):
		return fmt.Errorf("the interval must be 1s to 1m; it is %s", d.Interval)
	case cmp.Or(d.Life, state.DefaultDeviceLife) < cmp.Or(d.Interval, state.DefaultPollInterval):
		return fmt.Errorf("no device would get a token: the life of a code, %s, is shorter than the interval from one question to the next, %s",
			cmp.Or(d.Life, state.DefaultDeviceLife), cmp.Or(d.Interval, state.DefaultPollInterval))
	case d.PerHour < 0 || d.PerHour > maxDevicesInAll:
		return fmt.Errorf("per_hour must be 1 to %d codes; it is %d", maxDevicesInAll, d.PerHour)
	}
	return nil
}

// How many device codes there are: those of an hour are what a store must have room for.
const (
	devicesPerAddress = 120
	devicesInAll      = 20_000
	maxDevicesInAll   = 1_000_000
	devicesPer        = time.Hour
)

// deviceEndpoints returns the endpoints of the device code grant.
func (s *Server) deviceEndpoints(e endpoint.Authorize) []tokenep.Endpoint {
	d := endpoint.Device{Authorize: e, Devices: s.devices(), Guesses: s.Config.limiter(), Limit: s.Config.RateLimit}
	if s.Config.signsIn() {
		d.Sessions = &endpoint.Sessions{Browser: e.Browser, Sessions: s.Sessions, Active: s.active}
	}
	return []tokenep.Endpoint{d.Endpoint(), endpoint.DeviceAuthorization{
		Front: s.front, Origin: s.Config.origin(), PathOf: s.pathOf, Devices: s.devices(), Audience: s.Config.Audience,
		Pace: s.Config.Memory.Devices, InAll: s.Config.DeviceCode.PerHour,
	}.Endpoint()}
}

// devices returns the devices that wait for a user.
func (s *Server) devices() state.Devices {
	return state.Devices{
		Store: s.Config.Store, Families: s.Families, Life: s.Config.DeviceCode.Life, Interval: s.Config.DeviceCode.Interval, Now: s.Config.Now,
	}
}

// devices reports whether there is the device code grant: a client may use it, and there are people
// who can allow it.
func (c *Config) devices() bool {
	return c.people() && (c.DeviceCode.Offered || slices.ContainsFunc(c.Clients, func(client tokenep.Client) bool { return client.May(grant.DeviceCodeType) }))
}

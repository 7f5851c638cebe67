package oauthserver

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
)

// parsePages reads how the pages look. Syntax:
//
//	pages {
//	    name        <text>
//	    logo        <url or path>
//	    accent      <rrggbb>
//	    accent_dark <rrggbb>
//	    folder      <path>
//	}
func (s *AuthorizationServer) parsePages(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("pages takes no argument")
	}
	p := new(Pages)
	s.Pages = p
	block := *d // stays where the block begins
	err := adapt.Block(d, func(option string) error {
		switch option {
		case "name":
			return adapt.One(d, &p.Name)
		case "logo":
			return adapt.One(d, &p.Logo)
		case "accent":
			return parseColour(d, &p.Accent)
		case "accent_dark":
			return parseColour(d, &p.AccentDark)
		case "folder":
			return adapt.One(d, &p.Folder)
		default:
			return adapt.Unknown(d)
		}
	})
	if err != nil {
		return err
	}
	return adapt.Located(&block, p.check())
}

// parseColour reads an option that is a colour: six hexadecimal digits, since a # begins a comment.
func parseColour(d *caddyfile.Dispenser, into *string) error {
	option := d.Val()
	if err := adapt.One(d, into); err != nil {
		return d.Errf("%s takes one argument, a colour such as 0b57d0", option)
	}
	*into = "#" + strings.TrimPrefix(*into, "#")
	return nil
}

// parseSessions reads the rules for sessions. Syntax:
//
//	sessions {
//	    idle     <duration>
//	    absolute <duration>
//	}
func (s *AuthorizationServer) parseSessions(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("sessions takes no argument")
	}
	x := new(Sessions)
	s.Sessions = x
	block := *d // stays where the block begins
	err := adapt.Block(d, func(option string) error {
		switch option {
		case "idle":
			return adapt.Duration(d, &x.Idle, checkRefreshLife)
		case "absolute":
			return adapt.Duration(d, &x.Absolute, checkRefreshLife)
		default:
			return adapt.Unknown(d)
		}
	})
	if err != nil {
		return err
	}
	return adapt.Located(&block, x.check())
}

package oauthverify

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
)

// parseMCP reads the rules for operations. Syntax:
//
//	mcp {
//	    tool   <name> [<scope tokens…>]
//	    method <name> [<scope tokens…>]
//	}
//
// Both may be repeated.
func (o *Options) parseMCP(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("mcp takes no argument; what operations need goes into its block")
	}
	o.MCP = new(MCP)
	return adapt.Block(d, func(option string) error {
		list := &o.MCP.Tools
		switch option {
		case "tool":
		case "method":
			list = &o.MCP.Methods
		default:
			return adapt.Unknown(d)
		}
		var args []string
		if err := adapt.Some(d, &args); err != nil {
			return err
		}
		*list = append(*list, Operation{Name: args[0], Scope: args[1:]})
		return adapt.Located(d, o.check())
	}, "tool", "method")
}

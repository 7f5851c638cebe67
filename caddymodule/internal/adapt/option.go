package adapt

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// Option is a field of a structure of the library that people set: by a line in a Caddyfile, or by
// a flag on the command line. The field's tags say how, so that it is written down once:
//
//	option:"default_scope"  its word in a Caddyfile; required
//	flag:"grant"            its flag; default: the word, with dashes
//	usage:"What it gets"    the help of the flag
type Option struct {
	Name  string
	Flag  string
	Usage string
	// Member is its name in JSON.
	Member string
	// Into is a pointer to the field: *string, *bool, *[]string, *json.RawMessage, *verify.Scope or
	// *tokenep.Duration.
	Into any
}

// Options returns the options of a structure, in the order of its fields. v is a pointer to it.
func Options(v any) []Option {
	var options []Option
	structure := reflect.ValueOf(v).Elem()
	for i := range structure.NumField() {
		tag := structure.Type().Field(i).Tag
		name := tag.Get("option")
		if name == "" {
			continue
		}
		o := Option{Name: name, Flag: tag.Get("flag"), Usage: tag.Get("usage"),
			Member: strings.TrimSuffix(tag.Get("json"), ",omitempty"), Into: structure.Field(i).Addr().Interface()}
		if o.Flag == "" {
			o.Flag = strings.ReplaceAll(name, "_", "-")
		}
		options = append(options, o)
	}
	return options
}

// ReadOption reads the line at d into the field of v that has its word as option.
func ReadOption(d *caddyfile.Dispenser, v any) error {
	for _, o := range Options(v) {
		if o.Name == d.Val() {
			return o.read(d)
		}
	}
	return Unknown(d)
}

func (o Option) read(d *caddyfile.Dispenser) error {
	switch into := o.Into.(type) {
	case *string:
		if o.Name == "jwks_uri" {
			return One(d, into, verify.CheckJWKSURI)
		}
		return One(d, into)
	case *bool:
		return Flag(d, into)
	case *json.RawMessage:
		return JSON(d, into)
	case *[]string:
		switch o.Name {
		case "audience", "introspect", "exchange_to":
			return Audience(d, into)
		case "redirect_uris", "post_logout_redirect_uris":
			return Some(d, into, func(uris []string) error { return CheckRedirectURIs(uris, Line(o.Name)) })
		}
		return Some(d, into)
	case *verify.Scope:
		var tokens []string
		if err := Some(d, &tokens); err != nil {
			return err
		}
		scope, err := verify.ParseScope(strings.Join(tokens, " "))
		if err != nil {
			return d.Errf("%s: %w", o.Name, err)
		}
		*into = scope
	case *tokenep.Duration:
		var duration caddy.Duration
		err := Duration(d, &duration, tokenep.CheckLife)
		*into = tokenep.Duration(time.Duration(duration))
		return err
	default:
		panic("adapt: no line of a Caddyfile sets a field of type " + reflect.TypeOf(o.Into).Elem().String())
	}
	return nil
}

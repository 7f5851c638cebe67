package oauthadmin

import (
	"fmt"
	"reflect"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/pflag"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// addOptions adds a flag for each option of a structure of the library.
func addOptions(flags *pflag.FlagSet, v any) {
	for _, o := range adapt.Options(v) {
		switch o.Into.(type) {
		case *[]string:
			flags.StringArray(o.Flag, nil, o.Usage)
		default:
			flags.String(o.Flag, "", o.Usage)
		}
	}
}

// readOptions sets the options of the structure whose flags are given.
func readOptions(fl caddycmd.Flags, v any) (err error) {
	for _, o := range adapt.Options(v) {
		if !fl.Changed(o.Flag) {
			continue
		}
		switch into := o.Into.(type) {
		case *[]string:
			*into, err = fl.GetStringArray(o.Flag)
		case *string:
			*into = fl.String(o.Flag)
		case *verify.Scope:
			*into, err = verify.ParseScope(fl.String(o.Flag))
		case *tokenep.Duration:
			*into, err = tokenep.ParseDuration(fl.String(o.Flag))
		default:
			panic("oauthadmin: no flag sets a field of type " + reflect.TypeOf(o.Into).Elem().String())
		}
		if err != nil {
			return fmt.Errorf("--%s: %w", o.Flag, err)
		}
	}
	return nil
}

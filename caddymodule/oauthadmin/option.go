package oauthadmin

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// require has a command need flags.
func require(cmd *cobra.Command, flags ...string) {
	for _, name := range flags {
		_ = cmd.MarkFlagRequired(name) // there is one
	}
}

// checkFlags refuses flags that are missing or exclude one another, and empty ones: like an empty
// argument, that would be a variable which a script has not set.
func checkFlags(cmd *cobra.Command) (err error) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		text := f.Value.String()
		list, isList := f.Value.(pflag.SliceValue)
		switch {
		case err != nil:
		case f.Annotations[cobra.BashCompOneRequiredFlag] != nil && !f.Changed:
			err = misuse("--%s is required: %s", f.Name, f.Usage)
		case f.Changed && (text == "" || isList && slices.Contains(list.GetSlice(), "")):
			err = misuse("--%s must not be empty: is it a variable that is not set?", f.Name)
		}
	})
	if err != nil {
		return err
	}
	if err = cmd.ValidateFlagGroups(); err == nil {
		return nil
	}
	what := "these exclude each other"
	if strings.HasSuffix(err.Error(), "required") {
		what = "one of these is required"
	}
	names := strings.Fields(groupOfFlags.FindStringSubmatch(err.Error())[1])
	return misuse("%s: --%s", what, strings.Join(names, ", --"))
}

// groupOfFlags matches those that an error of cobra is about.
var groupOfFlags = regexp.MustCompile(`\[([^\[\]]*)\] (?:is required|were all set)$`)

// addOptions adds a flag for each option of a structure of the library.
func addOptions(flags *pflag.FlagSet, v any) {
	for _, o := range adapt.Options(v) {
		switch o.Into.(type) {
		case *[]string:
			flags.StringArray(o.Flag, nil, o.Usage)
		case *bool:
			flags.Bool(o.Flag, false, o.Usage)
		default:
			flags.String(o.Flag, "", o.Usage)
		}
	}
}

// scopeFlag returns the scope-tokens of a flag, which spaces separate.
func scopeFlag(fl caddycmd.Flags, name string) (verify.Scope, error) {
	tokens := strings.Fields(fl.String(name))
	err := adapt.CheckScope(tokens, func(tokens []string) string { return fmt.Sprintf("--%s %q", name, strings.Join(tokens, " ")) })
	if err != nil {
		return nil, misuse("--%s: %w", name, err)
	}
	scope, err := verify.ParseScope(strings.Join(tokens, " "))
	if err != nil {
		return nil, misuse("--%s: %w", name, err)
	}
	return scope, nil
}

// audienceFlag returns the audiences of a flag that is repeated for each.
func audienceFlag(fl caddycmd.Flags, name string) ([]string, error) {
	return listFlag(fl, name, adapt.CheckAudience)
}

// listFlag returns the values of a flag that is repeated for each.
func listFlag(fl caddycmd.Flags, name string, check func([]string, adapt.Written) error) ([]string, error) {
	values, err := fl.GetStringArray(name)
	if err == nil {
		err = check(values, func(names []string) string { return "--" + name + " " + strings.Join(names, " --"+name+" ") })
	}
	if err != nil {
		return nil, misuse("--%s: %w", name, err)
	}
	return values, nil
}

// member is how a list is in the JSON of the admin API.
func member(name string) adapt.Written {
	return func(names []string) string { return fmt.Sprintf(`"%s": ["%s"]`, name, strings.Join(names, `", "`)) }
}

// scopeMember is how a scope is there: as one string.
func scopeMember(name string) adapt.Written {
	return func(tokens []string) string { return fmt.Sprintf("%q: %q", name, strings.Join(tokens, " ")) }
}

// readOptions sets the options of the structure whose flags are given.
func readOptions(fl caddycmd.Flags, v any) (err error) {
	for _, o := range adapt.Options(v) {
		if !fl.Changed(o.Flag) {
			continue
		}
		switch into := o.Into.(type) {
		case *bool:
			*into = fl.Bool(o.Flag)
		case *[]string:
			switch o.Name {
			case "audience", "introspect", "exchange_to":
				*into, err = audienceFlag(fl, o.Flag)
			case "redirect_uris", "post_logout_redirect_uris":
				*into, err = listFlag(fl, o.Flag, adapt.CheckRedirectURIs)
			default:
				*into, err = listFlag(fl, o.Flag, func(names []string, right adapt.Written) error {
					return adapt.CheckNames(names, "names", right)
				})
			}
		case *json.RawMessage:
			if *into = json.RawMessage(fl.String(o.Flag)); !json.Valid(*into) {
				err = misuse("--%s: it is not JSON", o.Flag)
			}
		case *string:
			*into = fl.String(o.Flag)
		case *verify.Scope:
			*into, err = scopeFlag(fl, o.Flag)
		case *tokenep.Duration:
			if *into, err = tokenep.ParseDuration(fl.String(o.Flag)); err != nil {
				err = misuse("--%s: %w", o.Flag, err)
			}
		default:
			panic("oauthadmin: no flag sets a field of type " + reflect.TypeOf(o.Into).Elem().String())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

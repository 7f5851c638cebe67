package httpusers

import (
	"cmp"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/internal/remote"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/user/httpcheck"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// UnmarshalCaddyfile reads how the application is asked. Syntax:
//
//	users http <url> {
//	    method   <method>
//	    send     form [<name field> <password field>] | json [<name field> <password field>] |
//	             basic
//	    header   <field> <value>
//	    yes      <statuses…> [<member>=<value>]
//	    no       <statuses…> [<member>=<value>]
//	    subject  <member>
//	    subject_as_typed
//	    claim    <name> <member> [<scope token>]
//	    find     <url with {subject}>
//	    gone     <statuses…> [<member>=<value>]
//	    recheck  <duration> | off
//	    timeout  <duration>
//	    requests <count>
//	    ca       <path>
//	    insecure_http
//	}
//
// yes, no, gone, header and claim may be repeated.
func (u *Users) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the module
	if err := adapt.One(d, &u.URL, func(url string) error { return outbound.CheckURL("url", url) }); err != nil {
		return err
	}
	block := *d
	err := adapt.Block(d, func(option string) error {
		line := *d
		if err := u.parseOption(d, option); err != nil {
			return err
		}
		return adapt.Located(&line, cmp.Or(u.literal().ValidateParts(), u.checkHeader()))
	}, "yes", "no", "gone", "header", "claim")
	if err != nil {
		return err
	}
	return adapt.Located(&block, cmp.Or(u.literal().Validate(), u.checkOptions()))
}

func (u *Users) parseOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "method":
		return adapt.One(d, &u.Method)
	case "send":
		return u.parseSend(d)
	case "header":
		return remote.ParseField(d, &u.Header)
	case "yes":
		return remote.ParseRule(d, &u.Yes)
	case "no":
		return remote.ParseRule(d, &u.No)
	case "gone":
		return remote.ParseRule(d, &u.Gone)
	case "insecure_http":
		return adapt.Flag(d, &u.InsecureHTTP)
	default:
		if known, err := u.Connection.ParseOption(d, option); known {
			return err
		}
		return u.parsePerson(d, option)
	}
}

// parsePerson reads what is known of a person.
func (u *Users) parsePerson(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "subject":
		return adapt.One(d, &u.Subject)
	case "subject_as_typed":
		return adapt.Flag(d, &u.SubjectAsTyped)
	case "claim":
		return oauthserver.ParseClaim(d, &u.Claims, "a member of the answer")
	case "find":
		return adapt.One(d, &u.Find)
	case "recheck":
		return oauthserver.ParseRecheck(d, &u.Recheck)
	default:
		return adapt.Unknown(d)
	}
}

func (u *Users) parseSend(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	ways := []string{httpcheck.Form, httpcheck.JSON, httpcheck.Basic}
	if len(args) != 1 && len(args) != 3 || !slices.Contains(ways, args[0]) || slices.Contains(args, "") {
		return d.Err("send takes form, json or basic; behind the first two the names of the fields may stand, such as form email password")
	}
	u.Send = args[0]
	if len(args) == 3 {
		u.NameField, u.PasswordField = args[1], args[2]
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Users)(nil)

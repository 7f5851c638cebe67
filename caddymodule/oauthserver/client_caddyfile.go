package oauthserver

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/clientauth"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// parseClient reads one client. Syntax:
//
//	client <id> {
//	    secret           <secret> [expires <time>]
//	    name             <text>
//	    auth_method      client_secret_basic | client_secret_post | client_secret_jwt |
//	                     private_key_jwt | tls_client_auth | self_signed_tls_client_auth | none
//	    auth_methods     client_secret_basic | client_secret_post | private_key_jwt …
//	    jwks             `<json>`
//	    jwks_file        <path>
//	    jwks_uri         <url>
//	    auth_signing_alg <alg>
//	    assertion_audience lax | strict
//	    logo_uri, policy_uri, tos_uri <url>
//	    tls_client_auth_subject_dn <name>
//	    tls_client_auth_san_dns, tls_client_auth_san_uri <name>
//	    tls_client_auth_san_ip, tls_client_auth_san_email <name>
//	    grants           client_credentials | authorization_code | refresh_token |
//	                     token_exchange …
//	    redirect_uris    <uris…>
//	    post_logout_redirect_uris <uris…>
//	    id_token_alg     RS256 | ES256 | EdDSA
//	    require_offline_access
//	    skip_consent
//	    require_par
//	    dpop_bound_access_tokens
//	    tls_client_certificate_bound_access_tokens
//	    insecure_plain_pkce
//	    insecure_no_pkce
//	    scope            <scope tokens…>
//	    default_scope    <scope tokens…>
//	    audience         <values…>
//	    access_token_ttl <duration>
//	    exchange_from    <client ids…> | *
//	    exchange_to      <audiences…>
//	    may_act_for      iss=<issuer>|sub=<subject>|"iss=<issuer> sub=<subject>"|client_id=<id>|*…
//	    actor_from       <likewise…>
//	    may_act          <member=value…>
//	    introspect       <audiences…> | *
//	    secret_without_id
//	    insecure_unsecured_subject
//	    dialect          iceberg
//	}
//
// secret, may_act_for and actor_from may be repeated. A secret is a literal, which is hashed right
// here, a hash from "caddy hash-password", {env.NAME} or {file./path}. The time is that of RFC
// 3339, such as 2030-01-31T00:00:00Z. The secret of client_secret_jwt must be one of the last two,
// since a hash is no key for an HMAC. A client with neither a secret nor keys is public, and must
// say so: auth_method none. dialect iceberg is short for may_act_for *, unless the block has
// another one.
func (s *AuthorizationServer) parseClient(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Err("client takes one argument, its id") // the others may well be a secret
	}
	if err := adapt.RefusePlaceholders("client", args); err != nil {
		return d.WrapErr(err)
	}
	c := &tokenep.Client{ID: args[0]}
	for _, other := range s.Clients {
		if other.ID == c.ID {
			return d.Errf("client %s is given twice", c.ID)
		}
	}
	s.Clients = append(s.Clients, c)
	dialect := ""
	block := *d // stays where the block begins
	err := adapt.Block(d, func(option string) error {
		line := *d // stays where the option is
		switch option {
		case "secret":
			return parseSecret(d, s.name, c)
		case "dialect":
			return adapt.Choice(d, &dialect, "iceberg")
		}
		if err := readOption(d, option, c); err != nil {
			return err
		}
		if err := findGrants(c); err != nil && s.unknownGrant == nil {
			s.unknownGrant = adapt.Located(&line, err)
		}
		return adapt.Located(&line, checkOption(c))
	}, "secret", "may_act_for", "actor_from")
	if err != nil {
		return err
	}
	if dialect != "" && c.MayActFor == nil {
		c.MayActFor = []string{"*"} // a session of a user has no may_act
	}
	known := *c
	known.Audience = adapt.Literals(c.Audience)
	if !adapt.IsLiteral(c.JWKSURI) {
		known.JWKSURI = "https://any.invalid" // until the configuration is loaded
	}
	if err := checkSecretJWT(&known); err != nil {
		return adapt.Located(&block, err)
	}
	return adapt.Located(&block, checkClient(&known))
}

// readOption reads the line at d.
func readOption(d *caddyfile.Dispenser, option string, c *tokenep.Client) error {
	switch option {
	case "may_act_for":
		return parseParties(d, &c.MayActFor)
	case "actor_from":
		return parseParties(d, &c.ActorFrom)
	}
	return adapt.ReadOption(d, c)
}

// parseParties adds the entries of a line. An issuer beside a subject is refused: without its
// quotation marks, one subject of an issuer becomes every subject of it, and one of this server.
func parseParties(d *caddyfile.Dispenser, into *[]string) error {
	var entries []string
	option := d.Val()
	if err := adapt.Some(d, &entries); err != nil {
		return err
	}
	for i := range len(entries) - 1 {
		issuer, subject := entries[i], entries[i+1]
		if strings.HasPrefix(issuer, "sub=") {
			issuer, subject = subject, issuer
		}
		if strings.HasPrefix(issuer, "iss=") && !strings.Contains(issuer, " ") && strings.HasPrefix(subject, "sub=") {
			return d.Errf(`%s: %[2]s and %[3]s are two entries, every subject of that issuer and one of this server; write "%[2]s %[3]s" `+
				`for that subject of that issuer, or a line for each: %[1]s %[2]s, then %[1]s %[3]s`, option, issuer, subject)
		}
	}
	*into = append(*into, entries...)
	return nil
}

// checkOption refuses what is wrong however the block goes on.
func checkOption(c *tokenep.Client) error {
	offered := clientauth.Methods()
	if c.AuthMethod != "" && !slices.Contains(offered, c.AuthMethod) {
		return fmt.Errorf("auth_method must be one of %s", strings.Join(offered, ", "))
	}
	for _, method := range c.AuthMethods {
		if !slices.Contains(offered, method) {
			several := slices.DeleteFunc(offered, func(m string) bool { return m == tokenep.AuthNone })
			return fmt.Errorf("auth_methods: %q is unknown; there are %s", method, strings.Join(several, ", "))
		}
	}
	return checkLiterals(c)
}

// findGrants refuses a grant that is not in the library. Whether a plugin brings it is known when
// the whole block of the server has been read.
func findGrants(c *tokenep.Client) error {
	for _, name := range c.GrantTypes {
		if _, err := server.FindGrant(name, grant.Types()); err != nil {
			return err
		}
	}
	return nil
}

// parseSecret never puts a word of its line into an error.
func parseSecret(d *caddyfile.Dispenser, server string, c *tokenep.Client) error {
	args := d.RemainingArgs()
	if len(args) != 1 && (len(args) != 3 || args[1] != "expires") {
		return d.Err("secret takes one value, optionally followed by: expires <time>" + adapt.Empty(args))
	}
	if args[0] == "" {
		return d.Err("the secret must not be empty: is an empty {$VARIABLE} there?")
	}
	var secret tokenep.Secret
	var err error
	if len(args) == 3 {
		if secret.Expires, err = time.Parse(time.RFC3339, args[2]); err != nil {
			return d.Err("expires must be a time such as 2030-01-31T00:00:00Z")
		}
	}
	if secret.Hash, err = adaptSecret(server, c.ID, args[0]); err != nil {
		return d.WrapErr(err)
	}
	switch literal := secret.Hash != args[0]; {
	case literal && variable.MatchString(args[0]):
		adapt.Warn(d, fmt.Sprintf("client %q: %s", c.ID, warnVariable))
	case literal && len(args[0]) < shortSecret:
		adapt.Warn(d, fmt.Sprintf("client %q: %s", c.ID, warnShort))
	}
	c.Secrets = append(c.Secrets, secret)
	return nil
}

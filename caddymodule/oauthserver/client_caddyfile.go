package oauthserver

import (
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
)

// parseClient reads one client. Syntax:
//
//	client <id> {
//	    secret           <secret> [expires <time>]
//	    auth_method      client_secret_basic | client_secret_post | none
//	    grants           <client_credentials | token_exchange…>
//	    scope            <scope tokens…>
//	    default_scope    <scope tokens…>
//	    audience         <values…>
//	    access_token_ttl <duration>
//	    exchange_from    <client ids…> | *
//	}
//
// secret may be repeated. It is a literal, which is hashed when the Caddyfile is adapted, or a hash
// from "caddy hash-password", or {env.NAME}, or {file./path}. The time is in the format of RFC
// 3339, such as 2030-01-31T00:00:00Z.
func (s *AuthorizationServer) parseClient(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		// No word of the line is shown: one may be a secret.
		return d.Err("client takes one argument, its id")
	}
	c := &Client{ID: args[0]}
	for _, other := range s.Clients {
		if other.ID == c.ID {
			return d.Errf("client %s is given twice", c.ID)
		}
	}
	s.Clients = append(s.Clients, c)
	block := *d // stays at the beginning of the block
	err := adapt.Block(d, func(option string) error {
		if err := c.parseOption(d, option, s.name); err != nil {
			return err
		}
		_, err := c.literal()
		return adapt.Located(d, err)
	}, "secret")
	if err != nil {
		return err
	}
	client, err := c.literal()
	if err == nil {
		err = checkClient(&client)
	}
	return adapt.Located(&block, err)
}

func (c *Client) parseOption(d *caddyfile.Dispenser, option, server string) error {
	switch option {
	case "secret":
		return c.parseSecret(d, server)
	case "auth_method":
		return adapt.Choice(d, &c.AuthMethod, tokenep.AuthBasic, tokenep.AuthPost, tokenep.AuthNone)
	case "grants":
		return adapt.Some(d, &c.Grants)
	case "scope":
		return adapt.Some(d, &c.Scope)
	case "default_scope":
		return adapt.Some(d, &c.DefaultScope)
	case "audience":
		return adapt.Some(d, &c.Audience)
	case "access_token_ttl":
		return adapt.Duration(d, &c.AccessTokenTTL, tokenep.CheckLife)
	case "exchange_from":
		return adapt.Some(d, &c.ExchangeFrom)
	default:
		return adapt.Unknown(d)
	}
}

// parseSecret reads a secret. Its errors never show a word of the line.
func (c *Client) parseSecret(d *caddyfile.Dispenser, server string) error {
	args := d.RemainingArgs()
	if len(args) != 1 && (len(args) != 3 || args[1] != "expires") {
		return d.Err("secret takes one value, optionally followed by: expires <time>")
	}
	if args[0] == "" {
		return d.Err("the secret must not be empty")
	}
	var secret Secret
	var err error
	if len(args) == 3 {
		if secret.Expires, err = time.Parse(time.RFC3339, args[2]); err != nil {
			return d.Err("expires must be a time such as 2030-01-31T00:00:00Z")
		}
	}
	if secret.Value, err = adaptSecret(server, c.ID, args[0]); err != nil {
		return d.WrapErr(err)
	}
	c.Secrets = append(c.Secrets, secret)
	return nil
}

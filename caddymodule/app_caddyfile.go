package caddymodule

import (
	"encoding/json"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// parseServer reads the global option oauth_server, which may be repeated with another name. Syntax:
//
//	oauth_server [<name>] {
//	    issuer           <url>
//	    store            memory [<max_records>] | bolt [<path>] | <module> …
//	    access_token_ttl <duration>
//	    signing_alg      <alg>
//	    audience         <values…>
//	    cors_origins     <origins…>
//	    client <id> { … }
//	    token_exchange { … }
//	}
func parseServer(d *caddyfile.Dispenser, existing any) (any, error) {
	app := App{Servers: make(map[string]*Server)}
	if earlier, ok := existing.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(earlier.Value, &app); err != nil {
			return nil, err
		}
	}
	d.Next() // consume option name
	name := defaultServer
	if d.NextArg() {
		name = d.Val()
	}
	if d.NextArg() {
		return nil, d.Err("oauth_server takes one argument at most, its name")
	}
	if !validServerName(name) {
		return nil, d.Errf("the name %q is not made of lower-case letters, digits, - and _", name)
	}
	if app.Servers[name] != nil {
		return nil, d.Errf("oauth_server %s is given twice", name)
	}
	s := &Server{name: name}
	if err := s.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	app.Servers[name] = s
	return httpcaddyfile.App{Name: "oauth_server", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile reads the block of one server; see parseServer for the syntax.
func (s *Server) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return readBlock(d, func(option string) error {
		switch option {
		case "issuer":
			return readOne(d, &s.Issuer)
		case "store":
			return s.parseStore(d)
		case "access_token_ttl":
			return readDuration(d, &s.AccessTokenTTL)
		case "signing_alg":
			return readOne(d, &s.SigningAlg)
		case "audience":
			return readSome(d, &s.Audience)
		case "cors_origins":
			return readSome(d, &s.CORSOrigins)
		case "client":
			return s.parseClient(d)
		case "token_exchange":
			return s.parseTokenExchange(d)
		default:
			return unknown(d)
		}
	}, "client")
}

func (s *Server) parseStore(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("store takes the name of a store, such as bolt or memory")
	}
	name := d.Val()
	module, err := caddyfile.UnmarshalModule(d, "oauth_server.stores."+name)
	if err != nil {
		return err
	}
	s.StoreRaw = caddyconfig.JSONModuleObject(module, "module", name, nil)
	return nil
}

// UnmarshalCaddyfile reads a store. Syntax:
//
//	store memory [<max_records>]
func (m *MemoryStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the store
	if d.CountRemainingArgs() > 0 {
		return readCount(d, &m.MaxRecords)
	}
	return nil
}

// UnmarshalCaddyfile reads a store. Syntax:
//
//	store bolt [<path>]
func (b *BoltStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the name of the store
	if d.CountRemainingArgs() > 0 {
		return readOne(d, &b.Path)
	}
	return nil
}

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
// secret may be repeated. It is a literal, which is hashed right here, a hash from "caddy hash-password", {env.NAME} or {file./path}.
// The time is that of RFC 3339, such as 2030-01-31T00:00:00Z.
func (s *Server) parseClient(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Err("client takes one argument, its id") // the others may well be a secret
	}
	c := &Client{ID: args[0]}
	for _, other := range s.Clients {
		if other.ID == c.ID {
			return d.Errf("client %s is given twice", c.ID)
		}
	}
	s.Clients = append(s.Clients, c)
	return readBlock(d, func(option string) error {
		switch option {
		case "secret":
			return c.parseSecret(d, s.name)
		case "auth_method":
			return readOne(d, &c.AuthMethod)
		case "grants":
			return c.parseGrants(d)
		case "scope":
			return readSome(d, &c.Scope)
		case "default_scope":
			return readSome(d, &c.DefaultScope)
		case "audience":
			return readSome(d, &c.Audience)
		case "access_token_ttl":
			return readDuration(d, &c.AccessTokenTTL)
		case "exchange_from":
			return readSome(d, &c.ExchangeFrom)
		default:
			return unknown(d)
		}
	}, "secret")
}

// parseSecret never puts a word of its line into an error.
func (c *Client) parseSecret(d *caddyfile.Dispenser, server string) error {
	args := d.RemainingArgs()
	if len(args) != 1 && (len(args) != 3 || args[1] != "expires") {
		return d.Err("secret takes one value, and perhaps: expires <time>")
	}
	if args[0] == "" {
		return d.Err("the secret is empty")
	}
	var secret Secret
	var err error
	if len(args) == 3 {
		if secret.Expires, err = time.Parse(time.RFC3339, args[2]); err != nil {
			return d.Err("a secret expires at a time such as 2030-01-31T00:00:00Z")
		}
	}
	if secret.Value, err = adaptSecret(server, c.ID, args[0]); err != nil {
		return d.WrapErr(err)
	}
	c.Secrets = append(c.Secrets, secret)
	return nil
}

func (c *Client) parseGrants(d *caddyfile.Dispenser) error {
	if err := readSome(d, &c.Grants); err != nil {
		return err
	}
	for _, name := range c.Grants {
		if grantTypes[name] == "" {
			return d.Errf("unknown grant '%s'; there are client_credentials and token_exchange", name)
		}
	}
	return nil
}

// parseTokenExchange reads what may be exchanged. Syntax:
//
//	token_exchange {
//	    anonymous
//	    api_tokens {
//	        prefix       <prefix>
//	        max_per_user <count>
//	        max_age      <duration>
//	        token_type   <urns…>
//	    }
//	}
func (s *Server) parseTokenExchange(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("token_exchange takes no argument")
	}
	e := new(TokenExchange)
	s.TokenExchange = e
	return readBlock(d, func(option string) error {
		switch option {
		case "anonymous":
			return readFlag(d, &e.Anonymous)
		case "api_tokens":
			e.APITokens = new(APITokens)
			return e.APITokens.parse(d)
		default:
			return unknown(d)
		}
	})
}

func (t *APITokens) parse(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("api_tokens takes no argument")
	}
	return readBlock(d, func(option string) error {
		switch option {
		case "prefix":
			return readOne(d, &t.Prefix)
		case "max_per_user":
			return readCount(d, &t.MaxPerUser)
		case "max_age":
			return readDuration(d, &t.MaxAge)
		case "token_type":
			return readSome(d, &t.TokenTypes)
		default:
			return unknown(d)
		}
	})
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Server)(nil)
	_ caddyfile.Unmarshaler = (*MemoryStore)(nil)
	_ caddyfile.Unmarshaler = (*BoltStore)(nil)
)

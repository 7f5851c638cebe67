package caddymodule

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// parseServer reads the global option oauth_server, which may be repeated with another name. Syntax:
//
//	oauth_server [<name>] {
//	    issuer              <url>
//	    store               bolt [<path>] | redis <url> | postgres <dsn> | memory [<max_records>] | <module> …
//	    access_token_ttl    <duration>
//	    signing_alg         <alg>
//	    signing_key         <path> [active]
//	    encryption_key       {env.<name>} | {file.<path>}
//	    revocation_interval <duration>
//	    revocation_max_age  <duration>
//	    audience            <values…>
//	    cors_origins        <origins…>
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
	block := *d // stays where the block begins
	err := readBlock(d, func(option string) error {
		switch option {
		case "issuer":
			return readOne(d, &s.Issuer, server.CheckIssuer)
		case "store":
			return s.parseStore(d)
		case "access_token_ttl":
			return readDuration(d, &s.AccessTokenTTL, tokenep.CheckLife)
		case "signing_alg":
			return readChoice(d, &s.SigningAlg, keys.Algorithms()...)
		case "signing_key":
			return s.parseSigningKey(d)
		case "encryption_key":
			return s.parseEncryptionKey(d)
		case "revocation_interval":
			return readDuration(d, &s.RevocationInterval, server.CheckRevocationInterval)
		case "revocation_max_age":
			return readDuration(d, &s.RevocationMaxAge, server.CheckRevocationMaxAge)
		case "audience":
			return readSome(d, &s.Audience, server.CheckAudience)
		case "cors_origins":
			if err := readSome(d, &s.CORSOrigins); err != nil {
				return err
			}
			return located(d, checkOrigins(s.CORSOrigins)) // no placeholder is resolved there
		case "client":
			return s.parseClient(d)
		case "token_exchange":
			return s.parseTokenExchange(d)
		default:
			return unknown(d)
		}
	}, "client", "signing_key", "encryption_key")
	if err != nil {
		return err
	}
	return located(&block, s.check())
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
		if err := t.parseOption(d, option); err != nil {
			return err
		}
		return located(d, t.config().Validate())
	})
}

func (t *APITokens) parseOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "prefix":
		return readOne(d, &t.Prefix)
	case "max_per_user":
		return readCount(d, &t.MaxPerUser)
	case "max_age":
		return readDuration(d, &t.MaxAge, tokenep.CheckLife)
	case "token_type":
		return readSome(d, &t.TokenTypes)
	default:
		return unknown(d)
	}
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Server)(nil)

package oauthserver

import (
	"encoding/json"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/keys"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// parseServer reads the global option oauth_server. It may be repeated with another name. Syntax:
//
//	oauth_server [<name>] {
//	    issuer              <url>
//	    store               bolt [<path>] | memory [<max_records>] | redis <url> |
//	                        postgres <dsn> | <module> …
//	    access_token_ttl    <duration>
//	    signing_alg         <alg>
//	    signing_key         <path> [active]
//	    encryption_key      {env.<name>} | {file.<path>}
//	    revocation_interval <duration>
//	    revocation_max_age  <duration>
//	    rate_limit          off | <failures> <per>
//	    audience            <values…>
//	    cors_origins        <origins…>
//	    key_addresses       <addresses…>
//	    client_certificates { … }
//	    dpop { … }
//	    identity            [<placeholder>] { … }
//	    insecure_identity   <placeholder> { … }
//	    users               inline { … } | htpasswd <path> | http <url> { … } |
//	                        ldap <url> { … } | <module> …
//	    password_grant
//	    require_par
//	    consent_page        <path or url>
//	    refresh_tokens { … }
//	    sessions { … }
//	    device_code { … }
//	    pages { … }
//	    openid
//	    health
//	    client <id> { … }
//	    registration { … }
//	    token_exchange { … }
//	    subject <module> …
//	    grant <module> …
//	}
//
// signing_key, encryption_key, client, subject and grant may be repeated.
func parseServer(d *caddyfile.Dispenser, existing any) (any, error) {
	places := adapt.PlacesIn(d)
	app := App{Servers: make(map[string]*AuthorizationServer)}
	if earlier, ok := existing.(httpcaddyfile.App); ok {
		if err := json.Unmarshal(earlier.Value, &app); err != nil {
			return nil, err
		}
	}
	d.Next() // consume option name
	name := DefaultName
	if d.NextArg() {
		name = d.Val()
	}
	if d.NextArg() {
		return nil, d.Err("oauth_server takes at most one argument, its name")
	}
	if err := CheckName(name); err != nil {
		return nil, d.Errf("oauth_server %q: %w", name, err)
	}
	if app.Servers[name] != nil {
		return nil, d.Errf("oauth_server %s is given twice", name)
	}
	s := &AuthorizationServer{name: name}
	if err := s.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	app.Servers[name] = s
	places.Remember(s, nil)
	return httpcaddyfile.App{Name: "oauth_server", Value: caddyconfig.JSON(&app, nil)}, nil
}

// UnmarshalCaddyfile reads the block of one server; see parseServer for the syntax.
func (s *AuthorizationServer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	block := *d // stays at the beginning of the block
	err := adapt.Block(d, func(option string) error {
		switch option {
		case "issuer":
			return adapt.One(d, &s.Issuer, server.CheckIssuer)
		case "store":
			return s.parseStore(d)
		case "access_token_ttl":
			return adapt.Duration(d, &s.AccessTokenTTL, tokenep.CheckLife)
		case "signing_alg":
			return adapt.Choice(d, &s.SigningAlg, keys.Algorithms()...)
		case "signing_key":
			return s.parseSigningKey(d)
		case "encryption_key":
			return s.parseEncryptionKey(d)
		case "revocation_interval":
			return adapt.Duration(d, &s.RevocationInterval, server.CheckRevocationInterval)
		case "revocation_max_age":
			return adapt.Duration(d, &s.RevocationMaxAge, server.CheckRevocationMaxAge)
		case "rate_limit":
			return s.parseRateLimit(d)
		case "audience":
			return adapt.Audience(d, &s.Audience, server.CheckAudience)
		case "client":
			return s.parseClient(d)
		case "grant":
			return s.parseGrant(d)
		case "subject":
			return s.parseSubject(d)
		case "token_exchange":
			return s.parseTokenExchange(d)
		default:
			return s.parseNetwork(d, option)
		}
	}, "client", "grant", "subject", "signing_key", "encryption_key")
	if err == nil && s.GrantsRaw == nil {
		err = s.unknownGrant
	}
	if err != nil {
		return err
	}
	return adapt.Located(&block, s.check())
}

// parseNetwork reads what is said of others on the network, and passes on all other options.
func (s *AuthorizationServer) parseNetwork(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "health":
		return adapt.Flag(d, &s.Health)
	case "cors_origins":
		return s.parseOrigins(d)
	case "key_addresses":
		return adapt.Addresses(d, &s.KeyAddresses)
	case "client_certificates":
		return s.parseClientCertificates(d)
	case "dpop":
		return s.parseDPoP(d)
	default:
		return s.parsePeople(d, option)
	}
}

// parseOrigins reads "cors_origins <origins…>". No placeholder is resolved in it.
func (s *AuthorizationServer) parseOrigins(d *caddyfile.Dispenser) error {
	if err := adapt.Some(d, &s.CORSOrigins); err != nil {
		return err
	}
	return adapt.Located(d, CheckOrigins(s.CORSOrigins))
}

// parseRateLimit reads "rate_limit off" and "rate_limit <failures> <per>".
func (s *AuthorizationServer) parseRateLimit(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 1 && args[0] == "off" {
		s.RateLimit.Off = true
		return nil
	}
	if len(args) != 2 {
		return d.Err("rate_limit takes off, or a number of failures and a time, such as 20 200s")
	}
	failures, err := strconv.Atoi(args[0])
	if err != nil {
		return d.Errf("rate_limit: the number of failures must be a whole number, not %q", args[0])
	}
	per, err := tokenep.ParseDuration(args[1])
	if err != nil {
		return d.Errf("rate_limit: %w", err)
	}
	if failures == 0 { // the default, in JSON
		return d.Err("rate_limit: the number of failures must not be 0")
	}
	s.RateLimit = tokenep.RateLimit{Failures: failures, Per: per}
	if err := s.RateLimit.Validate(); err != nil {
		return d.Errf("rate_limit: %w", err)
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*AuthorizationServer)(nil)

package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

func init() {
	caddy.RegisterModule(new(App))
	caddy.RegisterModule(new(Endpoints))
	caddy.RegisterModule(new(Guard))
	caddy.RegisterModule(new(MemoryStore))
	caddy.RegisterModule(new(BoltStore))
	caddy.RegisterModule(new(RedisStore))
	caddy.RegisterModule(new(PostgresStore))
	caddy.RegisterModule(new(adminAPI))

	caddycmd.RegisterCommand(oauthCommand())

	httpcaddyfile.RegisterGlobalOption("oauth_server", parseServer)
	httpcaddyfile.RegisterHandlerDirective("oauth_token", parseEndpoints)
	httpcaddyfile.RegisterHandlerDirective("oauth_verify", parseGuard)

	// Both stand behind whatever limits or authenticates first, and before all that answers.
	httpcaddyfile.RegisterDirectiveOrder("oauth_token", httpcaddyfile.After, "basic_auth")
	httpcaddyfile.RegisterDirectiveOrder("oauth_verify", httpcaddyfile.After, "forward_auth")
}

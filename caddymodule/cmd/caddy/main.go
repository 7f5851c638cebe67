// Command caddy is Caddy with its standard modules and this plugin, for development and for trying
// it out. A production build is made with xcaddy.
package main

import (
	_ "time/tzdata" // for machines without a time zone database

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tokenep/caddy-tokenep/caddymodule"
)

func main() {
	caddycmd.Main()
}

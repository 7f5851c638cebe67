package caddymodule

import (
	// The modules register themselves. The stores are apart, so that a program with one engine
	// links no other.
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthadmin"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthstore/boltstore"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthstore/memorystore"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthstore/postgresstore"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthstore/redisstore"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject/httpsubjects"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject/idjagsubjects"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject/introspectionsubjects"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject/jwtsubjects"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject/kubernetessubjects"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthsubject/spiffesubjects"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthtoken"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthuser/htpasswdusers"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthuser/httpusers"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthuser/inlineusers"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthuser/ldapusers"
	_ "github.com/tokenep/caddy-tokenep/caddymodule/oauthverify"
)

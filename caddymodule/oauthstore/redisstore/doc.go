// Package redisstore is the Caddy module oauth_server.stores.redis, over package
// tokenep/store/redis.
//
//	store.go  the module
package redisstore

// Package ldapusers is the Caddy module oauth_server.users.ldap, over package
// tokenep/user/directory.
//
//	users.go            the module
//	users_caddyfile.go  its grammar
package ldapusers

// Package htpasswdusers is the Caddy module oauth_server.users.htpasswd, over package
// tokenep/user/htpasswd.
//
//	users.go  the module
package htpasswdusers

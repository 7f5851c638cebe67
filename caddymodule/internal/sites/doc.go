// Package sites is what the modules share that say, while a configuration is loaded, which requests
// come to a handler, by the routes of all sites.
//
//	checked.go   says when it can be known
//	walk.go      follows requests through the routes of a server
//	matches.go   says which routes they come to
//	handlers.go  says what handlers do with them
//	urls.go      says which URLs are worth a question
package sites

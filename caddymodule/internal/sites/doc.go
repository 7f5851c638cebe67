// Package sites is what the modules share that say, while a configuration is loaded, which requests
// come to a handler, by the routes of all sites.
//
//	checked.go  says when it can be known
//	passed.go   says what every request has passed that comes to a handler
package sites

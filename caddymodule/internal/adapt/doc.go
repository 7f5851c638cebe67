// Package adapt is what the modules share when they turn Caddy's configuration and requests into
// those of the libraries.
//
//	block.go        reads the block of a directive, line by line
//	list.go         tells lists with commas from names with one
//	log.go          writes the lines of requests
//	option.go       sets the fields of a structure of the library, by their tags
//	places.go       says in which line of a Caddyfile is what a load finds wrong
//	placeholder.go  resolves placeholders, and tells values with and without them apart
//	request.go      says which client sent a request, and traces it
//	unknown.go      says what there is in the place of a word that nobody knows
package adapt

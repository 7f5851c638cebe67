// Package remote is what the modules share that ask programs elsewhere, over package
// tokenep/outbound.
//
//	connection.go  how requests are made, as a configuration has it
//	rule.go        which answers mean something, and the fields of requests
package remote

// Package remote is what the modules share that ask programs elsewhere, over package
// verify/outbound.
//
//	connection.go     how requests are made, as a configuration has it
//	asked.go          such a program that is asked about tokens
//	introspection.go  an introspection endpoint
//	rule.go           which answers mean something, and the fields of requests
package remote

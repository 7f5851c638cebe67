// Package outbound is how programs elsewhere are asked, which a configuration names: the login of
// an application, whether a name and a password are good; the same, whether a session is; another
// authorization server, or the API of a cluster.
//
// No redirect is followed, no proxy is used, cookies are dropped, and an answer is read no further
// than it must be. What it means is said by rules. Any other answer, and none, means that nobody
// knows.
//
//	client.go  the requests, and the connections
//	url.go     where they may go
//	rule.go    which answers mean something
//	answer.go  the answers, and the members of their JSON
//	tokens.go  what was said of tokens, for a while
//	memory.go  any answers, for a while, and one question for all who wait
//	table.go   where those are
package outbound

// Package httpcheck asks the application behind the proxy whether a name and a password are good,
// as its own login page does: one HTTP request, whose answer means yes or no by rules that are
// configured. Any other answer, and none, means that nobody knows.
//
//	options.go  what is asked, and what the answers mean
//	check.go    the requests
//	answer.go   members of the answers, as subjects and claims
package httpcheck

// Package tokeneptest is an authorization server for tests: of the grants and endpoints of this
// project, of those that others add to it, and of programs that get tokens from it.
//
//	s := tokeneptest.New(t, tokeneptest.WithGrant(coupon{}),
//		tokeneptest.WithClients(tokeneptest.NewClient("shop", "coupon")))
//	show := tokeneptest.Post("grant_type", "urn:example:coupon", "code", "1234")
//	s.Run(t, []tokeneptest.Rule{
//		tokeneptest.Grants("a coupon", show.By("shop")),
//		tokeneptest.Refuses("no client", show, 401, tokenep.InvalidClient),
//	})
//
// The server listens on a loopback port and keeps its state in memory. A test sets its clock, takes
// its store away, reads its log, and changes its configuration. Requests are values, which methods
// change: who sends them, to which path, with which header. Every answer is held to what RFC 6749
// §5.1 and §5.2 say of all answers, and every token to a verifier that trusts nothing but the key
// set.
//
// It is for tests alone: its clients have secrets that anybody can read here.
//
//	server.go        the server: New, Next, NewUnstarted and what changes its configuration
//	token.go         tokens made without a request, and a look at those that were issued
//	clients.go       the clients that it knows
//	certificate.go   the certificates of clients
//	prover.go        a client that sends DPoP proofs
//	people.go        people who allow things: a way through the authorization endpoint
//	users.go         people who sign in on the pages of the server
//	browser.go       a browser without scripts
//	store.go         a store that can be away, and that counts what is written
//	log.go           the log, as text
//	request.go       what a client sends
//	answer.go        what the server answers, and what holds for all answers
//	conversation.go  a connection on which anything can be sent
//	table.go         tables of requests and of what each must get
package tokeneptest

// Package subject is the kinds of token that can be exchanged (RFC 8693 §2.1): one file for each
// kind.
//
//	apitoken.go       API tokens, which people make for their programs: the legacy credential that
//	                  becomes an OAuth token
//	own.go            the access tokens of this server, for narrower ones
//	jwt.go            the JWTs of other issuers: another authorization server, a CI job, a cluster
//	id_jag.go         what an enterprise's identity provider lets a client do for a user
//	spiffe.go         the JWT-SVIDs of a SPIFFE trust domain, by which workloads are known
//	httpcheck.go      sessions and keys of an application, which is asked about each
//	introspection.go  opaque tokens of another authorization server, which is asked likewise
//	tokenreview.go    those of service accounts, about which the API of their cluster is asked
//	queue.go          whose turn it is to have such a source asked
//	trial.go          what the policies make of a token, without anything being issued
//	foreign.go        tokens that others have issued, and which policy decides
//	policy.go         what comes of a token that somebody else has issued, and for whom
//	refresh.go        what comes of it later, by a refresh token
//	actors.go         who acts and who may act, in a token and by a policy
//	unsecured.go      JWTs that nobody has signed, of clients that are believed
//
// A kind says whom a token speaks for, and the most that may be issued for it. What is issued in
// the end is the business of grant.TokenExchange and of the phases of tokenep.TokenEndpoint.
//
// The path is Validate: a token is looked up (apitoken.go, in package state) or verified (own.go,
// by package verify), and what is found becomes an Authorization.
package subject

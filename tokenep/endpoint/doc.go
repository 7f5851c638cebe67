// Package endpoint is the endpoints beside the token endpoint: one file for each, which is one RFC.
// Each file makes one row of the server's table, a tokenep.Endpoint.
//
//	all.go                the names of the endpoints
//	authorize.go          a user allows a client, in a browser (RFC 6749 §3.1, §4.1.1)
//	authorize_request.go  what the client asks for
//	authorize_answer.go   the way back to the client, or a page that says why there is none
//	consent.go            the page on which the user decides
//	consent_remembered.go  what need not be asked again (RFC 6749 §10.2, RFC 8252 §8.6)
//	consent_page.go       what a page of the site's own shows and sends (RFC 6749 §4.1.1)
//	page_key.go           the key under which that page holds the request (RFC 5869)
//	browser.go            what all pages have in common (RFC 9700 §4.16)
//	session.go            the browsers that have signed in (RFC 6749 §3.1)
//	sign_in.go            the page on which people sign in (RFC 6749 §3.1)
//	account.go            where people see and end their access (RFC 6749 §10.2)
//	account_tokens.go     where they make API tokens, to be exchanged (RFC 8693)
//	account_new.go        the form for a new one
//	notice.go             what it says of what was done there (RFC 6749 §10.12)
//	account_api.go        the same for programs, over JSON (RFC 6750)
//	sign_out.go           the end of a session (OpenID Connect RP-Initiated Logout 1.0)
//	device_authorization.go  a device asks for a code (RFC 8628 §3.1)
//	device.go             the page on which a user types it, and decides (RFC 8628 §3.3)
//	health.go             whether the server can do its work (RFC 9110 §15.6.4)
//	introspect.go         what a token says, and whether it is good (RFC 7662)
//	jwks.go               the public keys (RFC 7517 §5)
//	leaked.go             credentials that were found where they should not be
//	metadata.go           what this server can do (RFC 8414, OpenID Connect Discovery 1.0 §4)
//	par.go                a request that the client has pushed (RFC 9126)
//	register.go           a client registers itself (RFC 7591)
//	register_metadata.go  what it asks for, within what it may be
//	register_manage.go    it reads, changes and deletes its registration (RFC 7592)
//	revoke.go             a token that is no longer wanted (RFC 7009)
//	userinfo.go           who a token is about (OpenID Connect Core §5.3)
//
// The wrapper of all rows is tokenep.Front: it answers CORS, refuses other methods, reads the form,
// authenticates the client, writes, logs and counts. The table and the paths are in package server.
package endpoint

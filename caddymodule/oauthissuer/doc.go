// Package oauthissuer is an issuer elsewhere, as a configuration describes it: what its tokens are
// like, and where its keys are. The routes of oauth_verify trust such issuers, and subjects of
// oauth_server.
//
// It is no module. One that has such an issuer gives the lines of its block to ParseOption, calls
// Check after each and CheckKeys at the end, and Provision and Cleanup from its methods of these
// names.
//
//	issuer.go     its options
//	caddyfile.go  their grammar
//	provision.go  the issuer with its keys
//	shared.go     the keys that are fetched, which outlive a reload
package oauthissuer

// Package oauthsubject is what the modules of the namespace oauth_server.subjects have in common:
// the policies, which say what comes of tokens that others have issued. Each module has a package
// of its own below this one.
//
//	policy.go            a policy in a configuration
//	policy_caddyfile.go  its grammar
//	asked.go             a program that is asked about each token
package oauthsubject

// Package kubernetessubjects is the Caddy module oauth_server.subjects.kubernetes: the tokens of
// service accounts, about which the API of their cluster is asked, over subject.TokenReview.
//
//	subject.go            the module
//	subject_caddyfile.go  its grammar
package kubernetessubjects

// Package introspection asks an authorization server about its tokens (RFC 7662), which may be of
// any form.
//
//	idp, err := introspection.New(introspection.Options{
//		URL: "https://idp.example/introspect", ClientID: "orders", ClientSecret: secret,
//		Issuer: "https://idp.example",
//	})
//	verifier, err := verify.New(verify.Config{Issuers: []verify.TrustedIssuer{{
//		Name: "https://idp.example", Introspect: idp.Introspect,
//		Audience: []string{"https://api.example"},
//	}}})
//
// What the server says of a token is remembered for a while: see [outbound.Answers]. It is a fact,
// and no decision: audience, times and rules are judged by package verify, on each request.
//
//	introspection.go  how the server is asked (RFC 7662 §2.1)
//	response.go       what its answers mean (RFC 7662 §2.2)
package introspection

package clientauth

import "github.com/tokenep/caddy-tokenep/tokenep"

// All returns every method. The order is that of the metadata document.
func All(s *Secrets, a *Assertions, c *Certificates) []tokenep.ClientAuth {
	return []tokenep.ClientAuth{
		Basic{s}, Post{s}, SecretJWT{PrivateKeyJWT{a}}, PrivateKeyJWT{a}, TLS{c}, SelfSignedTLS{TLS{c}}, None{},
	}
}

// Methods returns the names of the methods (RFC 7591 §2, token_endpoint_auth_method).
func Methods() []string {
	var names []string
	for _, m := range All(nil, nil, nil) {
		names = append(names, m.Method())
	}
	return names
}

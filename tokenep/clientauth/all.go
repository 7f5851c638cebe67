package clientauth

import "github.com/tokenep/caddy-tokenep/tokenep"

// All returns every method. The order is that of the metadata document.
func All(s *Secrets) []tokenep.ClientAuth {
	return []tokenep.ClientAuth{Basic{s}, Post{s}, None{}}
}

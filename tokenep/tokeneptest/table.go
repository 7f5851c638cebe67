package tokeneptest

import (
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep"
)

// Rule is a line of a table: a request, and what it must get. Grants and Refuses make one. Its name
// says by which rule, such as "5.2: unknown".
type Rule struct {
	Name    string
	Request Request
	Status  int          // of a refusal
	Code    tokenep.Code // of a refusal; empty: an access token must be issued
}

// Grants is a rule by which the request gets an access token.
func Grants(name string, r Request) Rule { return Rule{Name: name, Request: r} }

// Refuses is a rule by which the request is refused.
func Refuses(name string, r Request, status int, code tokenep.Code) Rule {
	return Rule{Name: name, Request: r, Status: status, Code: code}
}

// Run sends the requests of a table, each in a subtest. A request that is refused must not write
// anything to the store.
func (s *Server) Run(t *testing.T, rules []Rule) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.Name, func(t *testing.T) {
			if r.Code == "" {
				s.Granted(t, r.Request)
				return
			}
			writes := s.Store.Writes()
			s.Send(t, r.Request).Refused(t, r.Status, r.Code)
			if now := s.Store.Writes(); now != writes {
				t.Errorf("a refused request wrote %d records", now-writes)
			}
		})
	}
}

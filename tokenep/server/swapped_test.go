package server_test

import (
	"strings"
	"testing"
)

// Some swap id and secret. So the log names a client only if there is one of that id: else it would show a secret, and nobody can tell which it is.
func TestSwappedSecretStaysOutOfTheLog(t *testing.T) {
	const secret = "billing-secret"
	for name, away := range map[string]bool{"nobody has the id": false, "nobody can tell": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.store.away.Store(away)
			f.do(t, post("grant_type", cc).basic(secret, "billing"))
			f.do(t, post("grant_type", cc, "client_id", secret, "client_secret", "billing"))
			f.do(t, post("grant_type", cc, "client_id", secret))
			f.do(t, post("token", "x").basic(secret, "billing").at(revokePath))
			if strings.Contains(f.log.String(), secret) {
				t.Errorf("the log shows the secret:\n%s", f.log)
			}
			f.do(t, post("grant_type", cc).basic("billing", "wrong"))
			if !strings.Contains(f.log.String(), "client=billing") {
				t.Errorf("the log does not say whose secret was wrong:\n%s", f.log)
			}
		})
	}
}

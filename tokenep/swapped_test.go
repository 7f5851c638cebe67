package tokenep_test

import (
	"strings"
	"testing"

	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// Some people swap id and secret. So the log names a client only if its id exists: any other id may
// be a secret.
func TestSwappedSecretStaysOutOfTheLog(t *testing.T) {
	const secret = "billing-secret"
	for name, away := range map[string]bool{"nobody has the id": false, "nobody can tell": true} {
		t.Run(name, func(t *testing.T) {
			f := tokeneptest.New(t)
			f.Store.SetAway(away)
			f.Send(t, post("grant_type", cc).Basic(secret, "billing"))
			f.Send(t, post("grant_type", cc, "client_id", secret, "client_secret", "billing"))
			f.Send(t, post("grant_type", cc, "client_id", secret))
			f.Send(t, post("token", "x").Basic(secret, "billing").At(revokePath))
			if strings.Contains(f.Log.String(), secret) {
				t.Errorf("the log shows the secret:\n%s", f.Log)
			}
			f.Send(t, post("grant_type", cc).Basic("billing", "wrong"))
			if !strings.Contains(f.Log.String(), "client=billing") {
				t.Errorf("the log does not say whose secret was wrong:\n%s", f.Log)
			}
		})
	}
}

package upstream

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"time"

	"github.com/tokenep/caddy-tokenep/verify"
)

// Obtained is the message of the lines about credentials.
const Obtained = "upstream credential obtained"

// Finder is the Credential of a verify.Replacement.
type Finder = func(r *http.Request, t *verify.Token, presented string) (verify.Credential, error)

// Record writes down where a credential is from, and never what it is: a line at the level INFO
// with its id as upstream_credential, which is the jti of a token that was minted, or a random one;
// with jti, grant_id, client and sub of the token that it was obtained for, which is nil where it
// is for all of them; from, the URL or the file; and exp, of a token. The line is of no request:
// whoever had the credential obtained may be gone, and the context be in use. Without a logger
// there is none.
func Record(logger *slog.Logger, id string, t *verify.Token, attrs ...slog.Attr) {
	ctx := context.Background()
	if logger == nil || !logger.Enabled(ctx, slog.LevelInfo) {
		return
	}
	attrs = append([]slog.Attr{slog.String("upstream_credential", id)}, attrs...)
	if t != nil {
		for _, a := range []struct{ name, value string }{
			{"iss", t.Issuer}, {"jti", t.ID}, {"grant_id", t.GrantID}, {"client", t.ClientID}, {"sub", t.Subject}} {
			if a.value != "" {
				attrs = append(attrs, slog.String(a.name, a.value))
			}
		}
	}
	logger.LogAttrs(ctx, slog.LevelInfo, Obtained, attrs...)
}

// NewID returns the id of a credential that has none of its own.
func NewID() string { return rand.Text() }

// obtained is a credential that has just come from somewhere.
type obtained struct {
	value string
	until time.Time // when another one is obtained
	id    string
	attrs []slog.Attr // what its line says beside the token
}

// from returns what the line says of the URL or the file that a credential is from.
func from(place string) slog.Attr { return slog.String("from", place) }

// expiring returns what the line says of the end of a token.
func expiring(at time.Time) slog.Attr { return slog.Time("exp", at) }

package subject_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// saltedHash stands for that of key_7_secret.
var saltedHash = "$2b$10$" + strings.Repeat("s", 53)

const legacyType = "urn:example:token-type:key"

// takesLegacy lets API tokens of another system be imported.
func takesLegacy(c *server.Config) {
	pattern, err := state.ParseTokenPattern(`key_(?P<id>[0-9]+)_[a-z]+`)
	if err != nil {
		panic(err)
	}
	rules := *c.Exchange.APITokens
	rules.Types, rules.Patterns, rules.AllowNever = []string{server.APITokenType, legacyType}, []state.TokenPattern{pattern}, true
	c.Exchange.APITokens = &rules
	c.CompareHash = func(hash, secret []byte) (bool, error) {
		return string(hash) == saltedHash && string(secret) == "key_7_secret", nil
	}
}

func importToken(t testing.TB, f *tokeneptest.Server, i state.ImportedAPIToken) {
	t.Helper()
	i.Owner, i.Service = "alice", tokeneptest.Orders
	if _, _, err := f.APITokens.Import(context.Background(), i); err != nil {
		t.Fatal(err)
	}
}

// importBoth imports one token by its digest, and one by a salted hash.
func importBoth(t testing.TB, f *tokeneptest.Server) (plain, salted string) {
	t.Helper()
	plain, salted = "a token of another system", "key_7_secret"
	sum := sha256.Sum256([]byte(plain))
	importToken(t, f, state.ImportedAPIToken{Hash: "sha256:" + hex.EncodeToString(sum[:])})
	importToken(t, f, state.ImportedAPIToken{Name: "7", Hash: saltedHash, APIToken: state.APIToken{TokenType: legacyType}})
	return plain, salted
}

// RFC 8693 §2.1: imported tokens are subject tokens of their types, and like all others when they
// are not good.
func TestExchangeImportedTokens(t *testing.T) {
	f := tokeneptest.New(t, takesLegacy)
	f.Run(t, []rule{refuses("nothing was imported yet", redeem("a token of another system"), 400, tokenep.InvalidRequest)})
	plain, salted := importBoth(t, f)
	legacy := func(token string) request { return tokeneptest.Exchange(token, legacyType) }
	f.Run(t, []rule{
		grants("by its digest", redeem(plain)),
		grants("by its digest, as any type", legacy(plain)),
		grants("by a salted hash", legacy(salted)),
		grants("by a salted hash, again", legacy(salted)),
		refuses("as another type than it was imported as", redeem(salted), 400, tokenep.InvalidRequest),
		refuses("mistyped", redeem(strings.ToUpper(plain)), 400, tokenep.InvalidRequest),
		refuses("another secret", legacy("key_7_other"), 400, tokenep.InvalidRequest),
		refuses("another name", legacy("key_8_secret"), 400, tokenep.InvalidRequest),
		refuses("more than the pattern", legacy("xkey_7_secret"), 400, tokenep.InvalidRequest),
	})
	_, token := f.Granted(t, legacy(salted))
	if token.Subject != "alice" || !strings.HasPrefix(token.ClientID, "api_token:") {
		t.Errorf("claims: %v", token.Claims)
	}
}

// The exchange of an imported token takes as long as that of one of ours, but for a read and, once,
// a slow hash. They take turns, so that whatever else the machine does meets all of them; the
// ratios are those of the medians.
func BenchmarkExchange(b *testing.B) {
	f := tokeneptest.New(b, takesLegacy)
	ours, _ := f.NewAPIToken(b, anyToken)
	plain, salted := importBoth(b, f)
	requests := []request{redeem(ours), redeem(plain), tokeneptest.Exchange(salted, legacyType)}
	times := make([][]time.Duration, len(requests))
	for b.Loop() {
		for i, r := range requests {
			start := time.Now()
			f.Issued(b, r)
			times[i] = append(times[i], time.Since(start))
		}
	}
	for i := range times {
		slices.Sort(times[i])
	}
	median := func(i int) float64 { return float64(times[i][len(times[i])/2]) }
	b.ReportMetric(median(1)/median(0), "imported/ours")
	b.ReportMetric(median(2)/median(0), "salted/ours")
}

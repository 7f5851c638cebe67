package directory_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/store/storetest/servertest"
	"github.com/tokenep/caddy-tokenep/tokenep/user/directory"
)

// BenchmarkRefusal shows whether the time of a refusal tells who is in a directory, whose hashes
// are those of caddy hash-password: unknown-of-wrong is the median for a name that nobody has, as a
// share of that for a wrong password.
func BenchmarkRefusal(b *testing.B) {
	const hash = "$argon2id$v=19$m=47104,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	settings := append([]string{"moduleload argon2"}, entries[:2]...)
	p := servertest.For(b, servertest.Slapd, append(settings, person("ada", "userPassword: {ARGON2}"+hash))...)
	d := open(b, directory.Options{
		URLs: []string{p.URL}, InsecurePlain: true, Base: people, Filter: "(uid={name})", Bind: servertest.SlapdAdmin, Password: servertest.Password,
	})
	times := make(map[string][]time.Duration)
	for range max(b.N, 40) {
		for _, name := range []string{"ada", "nobody"} {
			start := time.Now()
			if _, err := d.Authenticate(b.Context(), name, "wrong"); !errors.Is(err, tokenep.ErrNoUser) {
				b.Fatal(err)
			}
			times[name] = append(times[name], time.Since(start))
		}
	}
	median := func(name string) float64 {
		slices.Sort(times[name])
		return times[name][len(times[name])/2].Seconds()
	}
	b.ReportMetric(median("nobody")/median("ada"), "unknown-of-wrong")
	b.ReportMetric(median("ada")*1000, "wrong-ms")
}

package caddymodule_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/tokenep/caddy-tokenep/verify/verifytest"
)

// usersOf returns an oauth_server's lines for this many people, ada0 and so on, whose password is
// wonderland, and for a public client that they tell it.
func usersOf(b *testing.B, n int) (lines, hash string) {
	b.Helper()
	// Of the default cost of caddy hash-password.
	const pattern = "$argon2id$v=19$m=47104,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	argon2id, _, err := caddyauth.DecodeHash([]byte(pattern))
	if err != nil {
		b.Fatal(err)
	}
	made, err := argon2id.Hash([]byte("wonderland"))
	if err != nil {
		b.Fatal(err)
	}
	var text strings.Builder
	text.WriteString("password_grant\nusers inline {\n")
	for i := range n {
		fmt.Fprintf(&text, "user ada%d %s\n", i, made)
	}
	text.WriteString("}\nclient phone {\nauth_method none\ngrants password\n}\n")
	return text.String(), string(made)
}

// signIn asks for a token by name and password, from an address, and returns the status and how
// long that took.
func signIn(b *testing.B, client *http.Client, address, from, name, password string) (int, time.Duration) {
	b.Helper()
	form := url.Values{"grant_type": {"password"}, "client_id": {"phone"}, "username": {name}, "password": {password}}
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+address+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Forwarded-For", from)
	start := time.Now()
	res, err := client.Do(r)
	if err != nil {
		return 0, 0
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	return res.StatusCode, time.Since(start)
}

// BenchmarkSignIn shows what a sign-in takes beside the hash of its password (of-hash), and whether
// the time of a refusal tells who is a user (unknown-of-wrong). All take turns in one run, and are
// compared by their medians.
func BenchmarkSignIn(b *testing.B) {
	lines, hash := usersOf(b, 1)
	address := runFloodCaddyWith(b, verifytest.New("https://idp.example", "orders"), "rate_limit off\n"+lines)
	times := make(map[string][]time.Duration)
	ask := func(what, name, password string, want int) {
		status, took := signIn(b, http.DefaultClient, address, "192.0.2.1", name, password)
		if status != want {
			b.Fatalf("%s: %d", what, status)
		}
		times[what] = append(times[what], took)
	}
	for i := range max(b.N, 40) {
		start := time.Now()
		if right, err := (caddyauth.Argon2idHash{}).Compare([]byte(hash), []byte("wonderland")); !right || err != nil {
			b.Fatal(right, err)
		}
		times["hash"] = append(times["hash"], time.Since(start))
		ask("right", "ada0", "wonderland", http.StatusOK)
		wrong := [][2]string{{"wrong", "ada0"}, {"unknown", "bert"}}
		for j := range wrong {
			w := wrong[(i+j)%len(wrong)]
			ask(w[0], w[1], "wrong", http.StatusBadRequest)
		}
	}
	median := func(what string) float64 {
		slices.Sort(times[what])
		return times[what][len(times[what])/2].Seconds()
	}
	b.ReportMetric(median("right")/median("hash"), "of-hash")
	b.ReportMetric(median("unknown")/median("wrong"), "unknown-of-wrong")
	b.ReportMetric(median("hash")*1000, "hash-ms")
}

// BenchmarkFloodOfPasswords is BenchmarkFlood for the passwords of people: what a thousand bad ones
// a second, for one name or for many, leave for verification (of-rate), and how long somebody whom
// the server has not seen waits meanwhile (new-s).
func BenchmarkFloodOfPasswords(b *testing.B) {
	idp := verifytest.New("https://idp.example", "orders")
	lines, _ := usersOf(b, newcomers)
	address := runFloodCaddyWith(b, idp, lines)
	f := &flood{address: address, verifying: dial(b, address), get: "GET /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + idp.Sign(verifytest.Claims{}) + "\r\n\r\n"}
	f.most = float64(len(f.verify(b, floodPhase, 0))) / floodPhase.Seconds()
	for _, names := range []int{1, 1000} {
		for _, addresses := range []int{1, 100} {
			b.Run(fmt.Sprintf("names=%d/addresses=%d", names, addresses), func(b *testing.B) {
				var rates [2]float64
				var longest time.Duration
				for range b.N {
					for i, path := range []string{"/floor", "/oauth/token"} {
						f.turns++
						var wg sync.WaitGroup
						wg.Go(func() { f.sendPasswords(path, names, addresses) })
						if i == 1 {
							wg.Go(func() {
								time.Sleep(floodPhase / 2)
								name := fmt.Sprint("ada", f.seen%newcomers)
								f.seen++
								status, took := signIn(b, http.DefaultClient, address, "192.0.2.1", name, "wonderland")
								if longest = max(longest, took); status != http.StatusOK {
									b.Errorf("%s: %d", name, status)
								}
							})
						}
						times := f.verify(b, floodPhase, f.most/2)
						wg.Wait()
						rates[i] += float64(len(times)) / floodPhase.Seconds() / float64(b.N)
					}
				}
				b.ReportMetric(rates[1]/rates[0], "of-rate")
				b.ReportMetric(rates[1], "verified/s")
				b.ReportMetric(longest.Seconds(), "new-s")
			})
		}
	}
}

// sendPasswords floods for one phase. Those that still wait at its end hang up.
func (f *flood) sendPasswords(path string, names, addresses int) {
	client := floodClient(false)
	ctx, hangUp := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	start := time.Now()
	for n := 0; time.Since(start) < floodPhase; n++ {
		wg.Go(func() {
			form := url.Values{"grant_type": {"password"}, "client_id": {"phone"}, "username": {fmt.Sprint("guessed", n%names)}, "password": {fmt.Sprint("guess", n)}}
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.address+path, strings.NewReader(form.Encode()))
			if err != nil {
				return
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", f.turns/256, f.turns%256, n%addresses))
			if res, err := client.Do(r); err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
		time.Sleep(time.Until(start.Add(time.Duration(n+1) * time.Second / floodRate)))
	}
	hangUp()
	wg.Wait()
	client.CloseIdleConnections()
}

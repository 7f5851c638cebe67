package tokenep_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/endpoint"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// lookout is told of an answer before its first byte is written.
type lookout struct {
	*httptest.ResponseRecorder
	before func()
}

func (l lookout) WriteHeader(status int) {
	l.before()
	l.ResponseRecorder.WriteHeader(status)
}

// Whoever has an answer can be asked about by its line, even if the process was killed right after:
// the line is written first, however long the answer is.
func TestLogIsBeforeTheAnswer(t *testing.T) {
	f := tokeneptest.New(t, tokeneptest.WithPeople, func(c *server.Config) {
		c.Registration = &server.Registration{Open: true, Template: endpoint.RegistrationTemplate{
			GrantTypes: []string{"client_credentials"}, Scope: verify.Scope{"read"}, Audience: []string{tokeneptest.Orders},
		}}
	})
	for match, row := range map[string]struct{ path, secret, form string }{
		`msg="token issued"`:          {tokenPath, "billing-secret", "grant_type=client_credentials"},
		`msg="token refused"`:         {tokenPath, "x", "grant_type=client_credentials"},
		`msg="token revoked"`:         {revokePath, "billing-secret", "token=" + f.Issued(t, plain.Basic("billing", "billing-secret"))},
		"error=invalid_request":       {revokePath, "billing-secret", "x=y"},
		`msg="authorization refused"`: {"/oauth/authorize", "", "client_id=nobody&response_type=code"},
		`msg="client registered"`:     {"/oauth/register", "", `{"grant_types":["client_credentials"],"response_types":[]}`},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", row.path, strings.NewReader(row.form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if strings.HasPrefix(row.form, "{") {
			r.Header.Set("Content-Type", "application/json")
		}
		r.SetBasicAuth("billing", row.secret)
		f.Log.Reset()
		answered := 0
		f.Handler.ServeHTTP(lookout{httptest.NewRecorder(), func() {
			answered++
			if log := f.Log.String(); !strings.Contains(log, match) {
				t.Errorf("no line with %s before the answer: %s", match, log)
			}
		}}, r)
		if answered != 1 {
			t.Errorf("%s: %d answers", match, answered)
		}
	}
}

var leftOut = regexp.MustCompile(` left_out=(\d+)`)

// refusalsIn returns how many lines a log has that match, and how many refusals they stand for.
func refusalsIn(t *testing.T, log, match string) (lines, refusals int) {
	t.Helper()
	for line := range strings.Lines(log) {
		if !regexp.MustCompile(match).MatchString(line) {
			continue
		}
		lines++
		if found := leftOut.FindStringSubmatch(line); found != nil {
			n, err := strconv.Atoi(found[1])
			if err != nil {
				t.Fatal(err)
			}
			refusals += n
		} else {
			refusals++
		}
	}
	return lines, refusals
}

// Whoever floods the server with requests that it refuses does not flood its log, from one address
// or from many; and every refusal is in the log, if only in a number.
func TestLogOfAFlood(t *testing.T) {
	const requests = 2000
	for name, row := range map[string]struct {
		request request
		address func(i int64) netip.Addr
		match   string
		lines   int // at most
	}{
		"wrong secrets from one address": {
			plain.Basic("billing", "x"), func(int64) netip.Addr { return tokeneptest.Peer },
			`msg="token refused" client_ip=192.0.2.1 .*error=invalid_client`, 11,
		},
		"wrong secrets from one IPv6 network": {
			plain.Basic("billing", "x"), func(i int64) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)) },
			`msg="token refused" client_ip=2001:db8::\S* .*error=invalid_client`, 11,
		},
		"tokens to revoke from every address": {
			post("token", "x", "token", "y").At(revokePath), func(i int64) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) },
			`msg="revocation refused" .*error=invalid_request`, 201,
		},
		"ten requests from every address": {
			get("/oauth/nothing"), func(i int64) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 200)}) },
			`msg="no such endpoint"`, 401,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			f := tokeneptest.New(t, func(c *server.Config) {
				c.ClientAddress = func(*http.Request) netip.Addr { return row.address(n.Load()) }
			})
			f.Log.Reset()
			flood := func() {
				for range requests {
					if a := f.Send(t, row.request); a.Status < 400 {
						t.Fatalf("status %d", a.Status)
					}
					n.Add(1)
				}
			}
			flood()
			f.Clock.Advance(time.Minute - time.Nanosecond)
			f.Send(t, row.request)
			f.Clock.Advance(1)
			f.Send(t, row.request) // brings the numbers of the minute before
			lines, refusals := refusalsIn(t, f.Log.String(), row.match)
			if want := requests + 2; lines > row.lines+1 || refusals != want {
				t.Errorf("%d lines about %d refusals, want at most %d lines about %d", lines, refusals, row.lines+1, want)
			}
			flood()
			f.Close()
			if _, refusals = refusalsIn(t, f.Log.String(), row.match); refusals != 2*requests+2 {
				t.Errorf("%d refusals in the end, want %d", refusals, 2*requests+2)
			}
		})
	}
}

// A flood hides neither a refusal of another kind nor what happened.
func TestLogBesideAFlood(t *testing.T) {
	f := tokeneptest.New(t)
	for range 50 {
		f.Send(t, plain.Basic("billing", "x")).Refused(t, http.StatusUnauthorized, tokenep.InvalidClient)
	}
	f.Log.Reset()
	f.Granted(t, plain.By("billing"))
	f.Send(t, post("grant_type", "password").By("billing")).Refused(t, http.StatusBadRequest, tokenep.UnsupportedGrantType)
	f.Send(t, plain.Basic("billing", "x"))
	log := f.Log.String()
	if strings.Count(log, "\n") != 2 || !strings.Contains(log, "token issued") || !strings.Contains(log, "unsupported_grant_type") {
		t.Errorf("the log says %s", log)
	}
}

// The numbers of a minute come at its end, also when nobody sends another request.
func TestLogAfterAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := new(tokeneptest.Log)
		l := tokenep.RequestLog{Logger: slog.New(slog.NewTextHandler(text, nil)), Now: time.Now}
		for range 30 {
			l.Refused(t.Context(), slog.LevelError, "token refused", tokeneptest.Peer, slog.String("error", "server_error"))
		}
		time.Sleep(time.Minute - time.Nanosecond)
		if lines, refusals := refusalsIn(t, text.String(), "."); lines != 10 || refusals != 10 {
			t.Errorf("at first %d lines, %d refusals", lines, refusals)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if lines, refusals := refusalsIn(t, text.String(), "level=ERROR"); lines != 11 || refusals != 30 {
			t.Errorf("after a minute %d lines, %d refusals", lines, refusals)
		}
		time.Sleep(time.Hour)
		l.Flush()
		if lines, _ := refusalsIn(t, text.String(), "."); lines != 11 {
			t.Errorf("after an hour %d lines", lines)
		}
	})
}

// Logs that share a quota write no more than one, and each refusal is in one of them.
func TestLogsOfOneQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quota := new(tokenep.LogQuota)
		var texts [4]tokeneptest.Log
		var logs [4]*tokenep.RequestLog
		for i := range logs {
			logs[i] = &tokenep.RequestLog{Logger: slog.New(slog.NewTextHandler(&texts[i], nil)), Now: time.Now, Quota: quota}
		}
		count := func() (lines, refusals int) {
			for i := range texts {
				l, r := refusalsIn(t, texts[i].String(), ".")
				lines, refusals = lines+l, refusals+r
			}
			return lines, refusals
		}
		for i := range 2000 {
			logs[i%4].Refused(t.Context(), slog.LevelInfo, "request denied", netip.AddrFrom4([4]byte{10, 0, 0, byte(i / 4 % 100)}))
		}
		if lines, _ := count(); lines != 200 {
			t.Errorf("%d lines in a minute, want 200", lines)
		}
		logs[0].Flush() // one of them ends
		time.Sleep(time.Minute)
		synctest.Wait()
		if lines, refusals := count(); lines > 400 || refusals != 2000 {
			t.Errorf("%d lines about %d refusals, want at most 400 about 2000", lines, refusals)
		}
	})
}

// What a sender chose reaches the log without characters that do not print, and is not endless.
func TestLogShowsWhatPrints(t *testing.T) {
	text := new(tokeneptest.Log)
	l := tokenep.RequestLog{Logger: slog.New(slog.NewJSONHandler(text, nil)), Now: time.Now}
	for raw, want := range map[string]string{
		"client:älice 日本 \"a\"":    `client:älice 日本 \"a\"`,
		"a\u202eb":                 `a\\u202eb`,
		"a\u009bb":                 `a\\u009bb`,
		"a\x9bb":                   `a\\x9bb`,
		"a\u2028b":                 `a\\u2028b`,
		"a\x7fb":                   `a\\x7fb`,
		"a\nb\x1b[2J":              `a\\nb\\x1b[2J`,
		"a\u2066b":                 `a\\u2066b`,
		strings.Repeat("é", 1<<20): strings.Repeat("é", 512) + "…",
	} {
		text.Reset()
		l.Event(t.Context(), "seen", slog.String("sub", raw), slog.Any("aud", []string{raw}))
		l.Refused(t.Context(), slog.LevelInfo, "refused", tokeneptest.Peer, slog.String("sub", raw))
		if got := strings.Count(text.String(), `"`+want+`"`); got != 3 {
			t.Errorf("%.40q is shown as %.400s", raw, text)
		}
	}
}

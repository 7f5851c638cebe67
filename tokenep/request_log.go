package tokenep

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/tokenep/caddy-tokenep/verify"
)

// What a RequestLog writes of refused requests in a minute. The rest is counted.
const (
	linesOfOne = 10  // of one kind, from one address
	linesOfAll = 200 // of every kind, from every address
)

// maxText is how much of a text is logged, in bytes.
const maxText = 1024

// RequestLog writes the lines about requests. Whoever floods a server with requests that it refuses
// gets a few lines in a minute, and at its end one more for each kind of refusal, with the number
// of those that were left out. It shows texts of others as they came as long as every character of
// them prints; it escapes those that do not, which could hide or reorder what a reader sees.
type RequestLog struct {
	Logger *slog.Logger
	Now    func() time.Time
	Quota  *LogQuota // that it shares with others; nil: one of its own

	own LogQuota
}

// LogQuota is how many lines about refused requests the logs that share it write in a minute. The
// zero value is ready for use.
type LogQuota struct {
	mu      sync.Mutex
	end     time.Time // of the minute
	lines   int       // that were written in it
	refused map[refusalKind]*refusals
	report  *time.Timer // at the end of the minute; nil while nothing was left out
}

// refusalKind is what refusals have in common that are counted together.
type refusalKind struct {
	network netip.Prefix // the zero value: all that have no count of their own
	level   slog.Level
	message string
	code    string
}

type refusals struct {
	written, leftOut int
	log              *RequestLog // of the last one
}

// Event writes a line about what has happened.
func (l *RequestLog) Event(ctx context.Context, message string, attrs ...slog.Attr) {
	l.write(ctx, slog.LevelInfo, message, attrs)
}

// Refused writes a line about a request from an address that was refused, or counts it. Refusals of
// one kind have the same message and the same attribute "error".
func (l *RequestLog) Refused(ctx context.Context, level slog.Level, message string, from netip.Addr, attrs ...slog.Attr) {
	if !l.Logger.Enabled(ctx, level) {
		return
	}
	k := refusalKind{network: Network(from), level: level, message: message}
	for _, a := range attrs {
		if a.Key == "error" {
			k.code = a.Value.String()
		}
	}
	if l.quota().count(l, k) { //nolint:contextcheck // its lines about others are of no request
		l.write(ctx, level, message, attrs)
	}
}

// Denied writes the line about a request from an address that a [verify.Guard] has refused.
func (l *RequestLog) Denied(r *http.Request, err error, from netip.Addr) {
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.EscapedPath()), slog.String("client_ip", from.String()),
	}
	level := slog.LevelInfo
	refusal, ok := errors.AsType[*verify.Error](err)
	if ok {
		attrs = append(attrs, slog.String("error", refusal.Code), slog.Int("status", refusal.Status))
		if t := refusal.Token; t != nil {
			attrs = append(attrs, slog.String("client", t.ClientID), slog.String("sub", t.Subject), slog.String("jti", t.ID))
		}
		if refusal.Status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
	}
	attrs = append(attrs, slog.String("reason", err.Error()))
	if ok && refusal.Option != "" {
		attrs = append(attrs, slog.String("option", refusal.Option))
	}
	l.Refused(r.Context(), level, "request denied", from, attrs...)
}

func (l *RequestLog) quota() *LogQuota {
	if l.Quota != nil {
		return l.Quota
	}
	return &l.own
}

// count counts a refusal, and reports whether its line is to be written.
func (q *LogQuota) count(l *RequestLog, k refusalKind) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := l.Now()
	if left := q.end.Sub(now); left <= 0 || left > time.Minute { // the clock may be set back
		q.begin()
		q.end = now.Add(time.Minute)
	}
	if q.refused[k] == nil && q.lines >= linesOfAll {
		k.network = netip.Prefix{}
	}
	n := q.refused[k]
	if n == nil {
		n = new(refusals)
		q.refused[k] = n
	}
	n.log = l
	if n.written < linesOfOne && q.lines < linesOfAll {
		n.written++
		q.lines++
		return true
	}
	n.leftOut++
	if q.report == nil {
		// There is nobody to tell when a log fails.
		q.report = time.AfterFunc(q.end.Sub(now), func() { _ = verify.Contain(q.endMinute) })
	}
	return false
}

// Flush writes how many lines have been left out, of those that were not another log's in the end.
func (l *RequestLog) Flush() {
	q := l.quota()
	q.mu.Lock()
	defer q.mu.Unlock()
	for k, n := range q.refused {
		if n.log == l {
			n.tell(k)
		}
	}
}

// endMinute writes how many lines have been left out, when no request does it.
func (q *LogQuota) endMinute() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.begin()
	q.end = time.Time{}
	return nil
}

// begin begins another minute, for who holds the lock.
func (q *LogQuota) begin() {
	if q.report != nil {
		q.report.Stop()
		q.report = nil
	}
	for k, n := range q.refused {
		n.tell(k)
	}
	q.lines, q.refused = 0, make(map[refusalKind]*refusals)
}

// tell writes how many lines have been left out.
func (n *refusals) tell(k refusalKind) {
	if n.leftOut == 0 {
		return
	}
	attrs := []slog.Attr{slog.String("error", k.code), slog.Int("left_out", n.leftOut)}
	if k.network.IsValid() {
		attrs = slices.Insert(attrs, 0, slog.String("client_ip", shown(k.network)))
	}
	n.log.write(context.Background(), k.level, k.message, attrs) // of no request
	n.leftOut = 0
}

// shown returns an address if it is only one.
func shown(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// lineHandler is what the handler of a logger may have beside: it handles a line of which no record
// was made, as it would handle the record, and keeps nothing of attrs.
type lineHandler interface {
	HandleLine(ctx context.Context, now time.Time, level slog.Level, message string, attrs []slog.Attr) error
}

// write passes a line on. That it comes from here is not worth finding out.
func (l *RequestLog) write(ctx context.Context, level slog.Level, message string, attrs []slog.Attr) {
	if !l.Logger.Enabled(ctx, level) {
		return
	}
	for i, a := range attrs {
		switch {
		case a.Value.Kind() == slog.KindString:
			attrs[i].Value = slog.StringValue(printable(a.Value.String()))
		case a.Value.Kind() == slog.KindAny:
			if list, ok := a.Value.Any().([]string); ok && !isShown(strings.Join(list, "")) {
				attrs[i].Value = slog.AnyValue(printables(list))
			}
		}
	}
	// Nobody is left to be told that it failed.
	switch h := l.Logger.Handler().(type) {
	case lineHandler:
		_ = h.HandleLine(ctx, time.Now(), level, message, attrs)
	default:
		line := slog.NewRecord(time.Now(), level, message, 0)
		line.AddAttrs(attrs...)
		_ = h.Handle(ctx, line)
	}
}

// isShown reports whether a text is short and of the characters of ASCII that print: nearly every
// one is.
func isShown(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return len(text) <= maxText
}

func printables(list []string) []string {
	list = slices.Clone(list)
	for i, text := range list {
		list[i] = printable(text)
	}
	return list
}

// printable returns text with what does not print escaped as in Go, and without what is too long.
func printable(text string) string {
	if isShown(text) {
		return text
	}
	more := ""
	if len(text) > maxText {
		end := maxText
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text, more = text[:end], "…"
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(c rune) bool { return !strconv.IsPrint(c) }) {
		quoted := strconv.Quote(text)
		text = quoted[1 : len(quoted)-1]
	}
	return text + more
}

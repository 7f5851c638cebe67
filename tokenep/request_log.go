package tokenep

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
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

type refusals struct{ written, leftOut int }

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
	k := refusalKind{network: network(from), level: level, message: message}
	for _, a := range attrs {
		if a.Key == "error" {
			k.code = a.Value.String()
		}
	}
	if l.count(ctx, k) {
		l.write(ctx, level, message, attrs)
	}
}

// count counts a refusal, and reports whether its line is to be written.
func (l *RequestLog) count(ctx context.Context, k refusalKind) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	if left := l.end.Sub(now); left <= 0 || left > time.Minute { // the clock may be set back
		l.begin(ctx)
		l.end = now.Add(time.Minute)
	}
	if l.refused[k] == nil && l.lines >= linesOfAll {
		k.network = netip.Prefix{}
	}
	n := l.refused[k]
	if n == nil {
		n = new(refusals)
		l.refused[k] = n
	}
	if n.written < linesOfOne && l.lines < linesOfAll {
		n.written++
		l.lines++
		return true
	}
	n.leftOut++
	if l.report == nil {
		l.report = time.AfterFunc(l.end.Sub(now), l.Flush)
	}
	return false
}

// Flush writes how many lines have been left out, and begins another minute.
func (l *RequestLog) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(context.Background()) // of no request
	l.end = time.Time{}
}

// begin is Flush for who holds the lock.
func (l *RequestLog) begin(ctx context.Context) {
	if l.report != nil {
		l.report.Stop()
		l.report = nil
	}
	for k, n := range l.refused {
		if n.leftOut == 0 {
			continue
		}
		attrs := []slog.Attr{slog.String("error", k.code), slog.Int("left_out", n.leftOut)}
		if k.network.IsValid() {
			attrs = slices.Insert(attrs, 0, slog.String("client_ip", shown(k.network)))
		}
		l.write(ctx, k.level, k.message, attrs)
	}
	l.lines, l.refused = 0, make(map[refusalKind]*refusals)
}

// shown returns an address if it is only one.
func shown(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func (l *RequestLog) write(ctx context.Context, level slog.Level, message string, attrs []slog.Attr) {
	for i, a := range attrs {
		switch {
		case a.Value.Kind() == slog.KindString:
			attrs[i].Value = slog.StringValue(printable(a.Value.String()))
		case a.Value.Kind() == slog.KindAny:
			if list, ok := a.Value.Any().([]string); ok {
				attrs[i].Value = slog.AnyValue(printables(list))
			}
		}
	}
	l.Logger.LogAttrs(ctx, level, message, attrs...)
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

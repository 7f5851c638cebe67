package adapt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
)

// watched notes the context of a line that it gets as a record.
type watched struct {
	slog.Handler
	ctx *context.Context
}

func (w watched) Handle(ctx context.Context, line slog.Record) error {
	*w.ctx = ctx
	return w.Handler.Handle(ctx, line)
}

func (w watched) WithAttrs(attrs []slog.Attr) slog.Handler {
	return watched{w.Handler.WithAttrs(attrs), w.ctx}
}

func (w watched) WithGroup(name string) slog.Handler {
	return watched{w.Handler.WithGroup(name), w.ctx}
}

// withFields returns the context of a request to which Caddy adds fields.
func withFields(ctx context.Context, fields ...zap.Field) context.Context {
	var extra caddyhttp.ExtraLogFields
	for _, f := range fields {
		extra.Add(f)
	}
	return context.WithValue(ctx, caddyhttp.ExtraLogFieldsCtxKey, &extra)
}

// Caddy makes no logger for a request without fields of its own. If this fails after an update of
// Caddy, the lines are right still, and dearer.
func TestLoggerOfARequest(t *testing.T) {
	var out bytes.Buffer
	var seen context.Context
	log := slog.New(requestLogger{Handler: watched{slog.NewTextHandler(&out, nil), &seen}}).With("server", "default")
	extended := func() bool { return seen.Value(caddyhttp.ExtraLogFieldsCtxKey) != nil }

	if log.InfoContext(withFields(t.Context()), "token issued"); extended() {
		t.Error("a logger for a request without fields")
	}
	if log.InfoContext(withFields(t.Context(), zap.String("traceID", "1")), "token refused"); !extended() {
		t.Error("the fields of a request are lost")
	}
	if log.Info("started"); extended() {
		t.Error("a logger for a request where there is none")
	}
	if n := strings.Count(out.String(), " server=default\n"); n != 3 {
		t.Errorf("%d of 3 lines: %s", n, out.String())
	}
}

type valuer struct{}

func (valuer) LogValue() slog.Value { return slog.StringValue("…") }

// A line that goes straight to zap is the line that Caddy's handler would have written of a record,
// and whatever only that one knows how to write goes to it.
func TestLineOfARequest(t *testing.T) {
	now := time.Unix(1700000000, 123456789)
	attrs := []slog.Attr{
		slog.String("text", `a "b"`), slog.Int("int", -3), slog.Uint64("uint", 4), slog.Float64("float", 1.5), slog.Bool("bool", true),
		slog.Time("time", now), slog.Duration("duration", 1500*time.Millisecond), slog.Any("list", []string{"a", "b"}),
		slog.Any("error", errors.New("x")), slog.Any("nil", nil), slog.Any("object", map[string]any{"a": 1}),
	}
	group := slog.Group("group", slog.Int("a", 1))
	with := func(attrs ...slog.Attr) func(slog.Handler) slog.Handler {
		return func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) }
	}
	for name, row := range map[string]struct {
		ctx      context.Context
		with     func(slog.Handler) slog.Handler
		attrs    []slog.Attr
		straight bool
	}{
		"each kind":           {attrs: attrs, straight: true},
		"nothing":             {straight: true},
		"without fields":      {ctx: withFields(t.Context()), attrs: attrs, straight: true},
		"with fields":         {ctx: withFields(t.Context(), zap.Int("n", 1)), attrs: attrs},
		"a group":             {attrs: []slog.Attr{group}},
		"a LogValuer":         {attrs: []slog.Attr{slog.Any("v", valuer{})}},
		"an empty one":        {attrs: []slog.Attr{{}}},
		"of a server":         {with: with(slog.String("server", "default")), attrs: attrs, straight: true},
		"of what has a group": {with: with(group), attrs: attrs},
		"in a group":          {with: func(h slog.Handler) slog.Handler { return h.WithGroup("g") }, attrs: attrs},
	} {
		if row.ctx == nil {
			row.ctx = t.Context()
		}
		for level := slog.LevelDebug; level <= slog.LevelError+4; level++ {
			var out bytes.Buffer
			var seen context.Context
			core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&out), zap.InfoLevel)
			caddys := zapslog.NewHandler(core, zapslog.WithName("oauth_server"), zapslog.AddStacktraceAt(slog.Level(127)))
			var log slog.Handler = requestLogger{Handler: watched{caddys, &seen}, core: core, name: "oauth_server"}
			if row.with != nil {
				log = row.with(log)
			}
			if err := log.(requestLogger).HandleLine(row.ctx, now, level, "token issued", row.attrs); err != nil {
				t.Fatal(err)
			}
			got, straight := out.String(), seen == nil
			out.Reset()
			line := slog.NewRecord(now, level, "token issued", 0)
			line.AddAttrs(row.attrs...)
			if err := log.Handle(row.ctx, line); err != nil {
				t.Fatal(err)
			}
			if got != out.String() || (got != "") != (level >= slog.LevelInfo) || straight != row.straight {
				t.Errorf("%s at %v, straight %t:\n%s\nand by a record:\n%s", name, level, straight, got, out.String())
			}
		}
	}
}

// keeper is a core that keeps what it is to write, as that does which Caddy has until its
// configuration is loaded.
type keeper struct {
	zapcore.Core
	lines *[][]zapcore.Field
}

func (k keeper) Check(e zapcore.Entry, c *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return c.AddCore(e, k)
}

func (k keeper) Write(_ zapcore.Entry, fields []zapcore.Field) error {
	*k.lines = append(*k.lines, fields)
	return nil
}

// No line has anything of another, written at the same time or later.
func TestLinesAtOnce(t *testing.T) {
	attrs := func(n int) []slog.Attr {
		var all []slog.Attr
		for i := range 1 + n%12 {
			all = append(all, slog.Int(string(rune('a'+i)), n))
		}
		return all
	}
	var out bytes.Buffer
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.Lock(zapcore.AddSync(&out)), zap.InfoLevel)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for n := g * 1000; n < g*1000+1000; n++ {
				_ = requestLogger{core: core}.HandleLine(t.Context(), time.Time{}, slog.LevelInfo, "", attrs(n))
			}
		})
	}
	all.Wait()
	seen := make(map[int]bool)
	for line := range strings.Lines(out.String()) {
		var fields map[string]int
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		n := fields["a"]
		for name := range fields {
			if fields[name] != n {
				t.Fatal(line)
			}
		}
		if len(fields) != 1+n%12 || seen[n] {
			t.Fatal(line)
		}
		seen[n] = true
	}
	if len(seen) != 8000 {
		t.Errorf("%d lines", len(seen))
	}

	var lines [][]zapcore.Field
	for n := range 20 {
		_ = requestLogger{core: keeper{core, &lines}}.HandleLine(t.Context(), time.Time{}, slog.LevelInfo, "", attrs(n))
	}
	for n, fields := range lines {
		if len(fields) != 1+n%12 || fields[0].Integer != int64(n) {
			t.Errorf("line %d has become %v", n, fields)
		}
	}
}

// wraps says that a plugin has put a handler around Caddy's.
var wraps atomic.Bool

func init() {
	caddy.RegisterSlogHandlerFactory(func(h slog.Handler, _ zapcore.Core, _ string) slog.Handler {
		if wraps.Load() {
			return watched{h, new(context.Context)}
		}
		return h
	})
}

// No handler of a plugin is passed over. If the first part fails after an update of Caddy, the
// lines are right still, and dearer.
func TestHandlersOfPlugins(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if Logger(ctx).Handler().(requestLogger).core == nil {
		t.Error("Caddy's handler is not known")
	}
	wraps.Store(true)
	defer wraps.Store(false)
	if Logger(ctx).Handler().(requestLogger).core != nil {
		t.Error("a handler of a plugin is passed over")
	}
}

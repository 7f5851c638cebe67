package adapt

import (
	"context"
	"io"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
)

// Logger returns Caddy's logger of the module that is being provisioned. For each request Caddy
// makes a logger of its own, with the fields that other handlers add to its lines, such as those of
// tracing. Where there are none, the line is the same without it, and costs half as much.
func Logger(ctx caddy.Context) *slog.Logger {
	l := requestLogger{Handler: ctx.Slogger().Handler()}
	if isCaddys(l.Handler) {
		logger := ctx.Logger()
		l.core, l.name = logger.Core(), logger.Name()
	}
	return slog.New(l)
}

type requestLogger struct {
	slog.Handler
	core zapcore.Core // to which Handler writes what it is given, and nothing else; nil: it may not
	name string       // of the logger
}

func (l requestLogger) Handle(ctx context.Context, line slog.Record) error {
	if !hasFields(ctx) {
		ctx = context.WithValue(ctx, caddyhttp.ExtraLogFieldsCtxKey, nil)
	}
	return l.Handler.Handle(ctx, line)
}

// HandleLine writes the line straight to zap where Handler would, in half the time.
func (l requestLogger) HandleLine(ctx context.Context, now time.Time, level slog.Level, message string, attrs []slog.Attr) error {
	entry := zapcore.Entry{Level: levelOf(level), Time: now, Message: message, LoggerName: l.name}
	if l.core != nil && !hasFields(ctx) && l.write(entry, attrs) {
		return nil
	}
	line := slog.NewRecord(now, level, message, 0)
	line.AddAttrs(attrs...)
	return l.Handle(ctx, line)
}

// write writes an entry, unless it has attributes of which only Handler knows how.
func (l requestLogger) write(entry zapcore.Entry, attrs []slog.Attr) (ok bool) {
	buffer := fieldBuffers.Get().(*[]zapcore.Field)
	fields, ok := appendFields((*buffer)[:0], attrs)
	if ok {
		if checked := l.core.Check(entry, nil); checked != nil {
			checked.Write(fields...)
		}
	}
	if reflect.TypeOf(l.core) == zapsCore { // another may keep them
		clear(fields)
		*buffer = fields
		fieldBuffers.Put(buffer)
	}
	return ok
}

func (l requestLogger) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields, ok := appendFields(nil, attrs)
	if l.Handler = l.Handler.WithAttrs(attrs); !ok {
		l.core = nil
	}
	if l.core != nil {
		l.core = l.core.With(fields)
	}
	return l
}

func (l requestLogger) WithGroup(name string) slog.Handler {
	return requestLogger{Handler: l.Handler.WithGroup(name)}
}

// levelOf returns the level by which Caddy's handler writes a line.
func levelOf(level slog.Level) zapcore.Level {
	switch {
	case level >= slog.LevelError:
		return zapcore.ErrorLevel
	case level >= slog.LevelWarn:
		return zapcore.WarnLevel
	case level >= slog.LevelInfo:
		return zapcore.InfoLevel
	}
	return zapcore.DebugLevel
}

// fieldBuffers are where lines are put together, for the core of zap that has written a line when
// it returns.
var (
	fieldBuffers = sync.Pool{New: func() any { b := make([]zapcore.Field, 0, 8); return &b }}
	zapsCore     = reflect.TypeOf(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(io.Discard), zapcore.InfoLevel))
)

// appendFields appends attributes as Caddy's handler writes them; ok is false where there are some
// of which only that one knows how.
func appendFields(fields []zapcore.Field, attrs []slog.Attr) (_ []zapcore.Field, ok bool) {
	for _, a := range attrs {
		var field zapcore.Field
		switch kind := a.Value.Kind(); {
		case a.Key == "" || kind == slog.KindGroup || kind == slog.KindLogValuer:
			return fields, false
		case kind == slog.KindString:
			field = zap.String(a.Key, a.Value.String())
		case kind == slog.KindInt64:
			field = zap.Int64(a.Key, a.Value.Int64())
		case kind == slog.KindTime:
			field = zap.Time(a.Key, a.Value.Time())
		default:
			field = zap.Any(a.Key, a.Value.Any())
		}
		fields = append(fields, field)
	}
	return fields, true
}

var (
	fieldsOwner              = reflect.TypeFor[caddyhttp.ExtraLogFields]().PkgPath()
	fieldsOfLog, knowsFields = reflect.TypeFor[caddyhttp.ExtraLogFields]().FieldByName("fields")
)

// hasFields reports whether other handlers may have added fields to the lines of a request: Caddy
// does not export them.
func hasFields(ctx context.Context) bool {
	extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	if !ok || !knowsFields || fieldsOfLog.Type.Kind() != reflect.Slice {
		return ok
	}
	return reflect.ValueOf(extra).Elem().FieldByIndex(fieldsOfLog.Index).Len() > 0
}

// isCaddys reports whether a handler is certainly one that Caddy makes, which writes to zap what it
// is given: a plugin can put its own around it, or into it.
func isCaddys(h slog.Handler) bool {
	v := reflect.Indirect(reflect.ValueOf(h))
	if v.Kind() != reflect.Struct || v.Type().PkgPath() != fieldsOwner {
		return false
	}
	inner := v.FieldByName("defaultHandler")
	return inner.Kind() == reflect.Interface && inner.Elem().IsValid() && inner.Elem().Type() == reflect.TypeFor[*zapslog.Handler]()
}

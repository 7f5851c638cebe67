package adapt

import (
	"context"
	"log/slog"
	"reflect"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Logger returns Caddy's logger of the module that is being provisioned. For each request Caddy
// makes a logger of its own, with the fields that other handlers add to its lines, such as those of
// tracing. Where there are none, the line is the same without it, and costs half as much.
func Logger(ctx caddy.Context) *slog.Logger {
	return slog.New(requestLogger{ctx.Slogger().Handler()})
}

type requestLogger struct{ slog.Handler }

func (l requestLogger) Handle(ctx context.Context, line slog.Record) error {
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok && isEmpty(extra) {
		ctx = context.WithValue(ctx, caddyhttp.ExtraLogFieldsCtxKey, nil)
	}
	return l.Handler.Handle(ctx, line)
}

func (l requestLogger) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestLogger{l.Handler.WithAttrs(attrs)}
}

func (l requestLogger) WithGroup(name string) slog.Handler {
	return requestLogger{l.Handler.WithGroup(name)}
}

var fieldsOfLog, knowsFields = reflect.TypeFor[caddyhttp.ExtraLogFields]().FieldByName("fields")

// isEmpty reports whether there are certainly no fields: Caddy does not export them.
func isEmpty(extra *caddyhttp.ExtraLogFields) bool {
	if !knowsFields || fieldsOfLog.Type.Kind() != reflect.Slice {
		return false
	}
	return reflect.ValueOf(extra).Elem().FieldByIndex(fieldsOfLog.Index).Len() == 0
}

package adapt

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// watched notes whether Caddy would make a logger for the request of a line.
type watched struct {
	slog.Handler
	extended *bool
}

func (w watched) Handle(ctx context.Context, line slog.Record) error {
	*w.extended = ctx.Value(caddyhttp.ExtraLogFieldsCtxKey) != nil
	return w.Handler.Handle(ctx, line)
}

func (w watched) WithAttrs(attrs []slog.Attr) slog.Handler {
	return watched{w.Handler.WithAttrs(attrs), w.extended}
}

// Caddy makes no logger for a request without fields of its own. If this fails after an update of
// Caddy, the lines are right still, and dearer.
func TestLoggerOfARequest(t *testing.T) {
	var out bytes.Buffer
	extended := false
	log := slog.New(requestLogger{watched{slog.NewTextHandler(&out, nil), &extended}}).With("server", "default")
	var fields caddyhttp.ExtraLogFields
	ctx := context.WithValue(t.Context(), caddyhttp.ExtraLogFieldsCtxKey, &fields)

	if log.InfoContext(ctx, "token issued"); extended {
		t.Error("a logger for a request without fields")
	}
	fields.Set(zap.String("traceID", "1"))
	if log.InfoContext(ctx, "token refused"); !extended {
		t.Error("the fields of a request are lost")
	}
	if log.Info("started"); extended {
		t.Error("a logger for a request where there is none")
	}
	if n := strings.Count(out.String(), " server=default\n"); n != 3 {
		t.Errorf("%d of 3 lines: %s", n, out.String())
	}
}

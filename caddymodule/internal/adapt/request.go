package adapt

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// ClientAddress returns the address of the client as Caddy has determined it by trusted_proxies:
// X-Forwarded-For alone does not count.
func ClientAddress(r *http.Request) netip.Addr {
	if text, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok {
		if address, err := netip.ParseAddr(text); err == nil {
			return address
		}
	}
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr()
}

// Trace begins a span within that of the request, and returns what ends it. Where Caddy's handler
// tracing is not in front, or does not record the request, there is none, and it costs a look into
// the context.
func Trace(ctx context.Context, name string) (context.Context, func(error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, untraced
	}
	ctx, span := parent.TracerProvider().Tracer("github.com/tokenep/caddy-tokenep").Start(ctx, name)
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, errorCode(err))
		}
		span.End()
	}
}

func untraced(error) {}

// errorCode is the code of an error, since its text may have more than a trace should.
func errorCode(err error) string {
	if e, ok := errors.AsType[*tokenep.Error](err); ok {
		return string(e.Code)
	}
	if e, ok := errors.AsType[*verify.Error](err); ok {
		return e.Code
	}
	return ""
}

// OverTLS reports whether the client has sent a request over TLS: to Caddy, or to a proxy of
// trusted_proxies, as X-Forwarded-Proto says. Of several values the last one is that proxy's.
func OverTLS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	values := r.Header["X-Forwarded-Proto"]
	if !TrustedProxy(r) || len(values) == 0 {
		return false
	}
	last := values[len(values)-1]
	return strings.EqualFold(strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:]), "https")
}

// Received returns the method and the target of a request as the client sent it, before any
// rewrite.
func Received(r *http.Request) (method string, target *url.URL) {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return original.Method, original.URL
	}
	return r.Method, r.URL
}

// TrustedProxy reports whether a request is from one of trusted_proxies.
func TrustedProxy(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

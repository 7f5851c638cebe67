package adapt

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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

// OverTLS reports whether the client has sent a request over TLS: to Caddy, or to a proxy of
// trusted_proxies, as X-Forwarded-Proto says. Of several values the last one is that proxy's.
func OverTLS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	values := r.Header["X-Forwarded-Proto"]
	if !trusted || len(values) == 0 {
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

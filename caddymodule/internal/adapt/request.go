package adapt

import (
	"net/http"
	"net/netip"
	"net/url"

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

// Received returns the method and the target of a request as the client sent it, before any
// rewrite.
func Received(r *http.Request) (method string, target *url.URL) {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return original.Method, original.URL
	}
	return r.Method, r.URL
}

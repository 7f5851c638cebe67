package oauthserver

import (
	"context"
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
)

// The collectors live as long as the process, so that a reload resets no counter. No label is a
// user, a client or a token: each label has few values.
var (
	tokenRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "oauth", Name: "token_requests_total",
		Help: "Requests to the token endpoint, by server, grant and error code (empty: a token was issued).",
	}, []string{"server", "grant", "error"})

	tokenDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "caddy", Subsystem: "oauth", Name: "token_duration_seconds",
		Help:    "Duration of requests to the token endpoint, by server and grant.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"server", "grant"})
)

// RegisterMetrics registers collectors for the configuration that is being provisioned, which has a
// registry of its own. It ignores those that are registered already.
func RegisterMetrics(ctx caddy.Context, collectors ...prometheus.Collector) error {
	registry := ctx.GetMetricsRegistry()
	for _, c := range collectors {
		if err := registry.Register(c); err != nil {
			if _, registered := errors.AsType[prometheus.AlreadyRegisteredError](err); !registered {
				return err
			}
		}
	}
	return nil
}

// grantLabels are the values of the label grant by grant type.
var grantLabels = map[string]string{
	"":                          "", // refused before a grant was found
	grant.ClientCredentialsType: "client_credentials",
	grant.TokenExchangeType:     "token_exchange",
}

// observe counts a request to the token endpoint, and its duration.
func (s *AuthorizationServer) observe(_ context.Context, o tokenep.Outcome) {
	label, known := grantLabels[o.Grant]
	if !known {
		label = "other"
	}
	code := ""
	if o.Err != nil {
		code = string(o.Err.Code)
	}
	tokenRequests.WithLabelValues(s.name, label, code).Inc()
	tokenDuration.WithLabelValues(s.name, label).Observe(o.Duration.Seconds())
}

package oauthserver

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/state"
	"github.com/tokenep/caddy-tokenep/verify"
)

// maxEvents is how many events wait for the handlers of the events app. Those that come while so
// many do are in the log only.
const maxEvents = 1024

// eventPrefix begins the names of the events.
const eventPrefix = "oauth_api_token_"

// events passes on to Caddy's events app what happens to API tokens. Handlers may take long, and a
// request does not wait for them.
type events struct {
	app    *caddyevents.App
	server string
	logger *slog.Logger
	queue  chan *state.APITokenEvent
}

// listen lets the events of the server get there.
func (s *AuthorizationServer) listen(ctx caddy.Context, config *server.Config) error {
	app, err := ctx.App("events")
	if err != nil {
		return err
	}
	s.events = &events{app: app.(*caddyevents.App), server: s.name, logger: adapt.Logger(ctx).With("server", s.name), queue: make(chan *state.APITokenEvent, maxEvents)}
	config.APITokenEvent = s.events.add
	return nil
}

// add queues an event, unless nobody listens or too many wait.
func (e *events) add(_ context.Context, event state.APITokenEvent) {
	if !e.app.ShouldEmit(eventPrefix + event.What) {
		return
	}
	select {
	case e.queue <- &event:
	default:
	}
}

// run passes the events on, until ctx is done.
func (e *events) run(ctx caddy.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-e.queue:
			if err := verify.Contain(func() error {
				e.app.Emit(ctx, eventPrefix+event.What, e.data(event)) // to handlers of anybody
				return nil
			}); err != nil {
				e.logger.Error("a handler of an event has failed", "event", eventPrefix+event.What, "error", err)
			}
		}
	}
}

// data is what a handler is told: {event.data.id} and the like.
func (e *events) data(event *state.APITokenEvent) map[string]any {
	t := &event.Token
	data := map[string]any{
		"server": e.server, "id": t.ID, "name": t.Name, "owner": t.Owner, "service": t.Service, "scope": t.Scope.String(),
		"reason": event.Reason, "address": "", "expires": "", "created_by": t.CreatedBy,
	}
	if event.Address != (netip.Addr{}) {
		data["address"] = event.Address.String()
	}
	if !t.Expires.IsZero() {
		data["expires"] = t.Expires.Format(time.RFC3339)
	}
	return data
}

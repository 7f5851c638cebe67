package subject

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// Address returns the address that a request comes from. nil: that of the peer.
type Address func(*http.Request) netip.Addr

// queue is of those who wait for a source to be asked (RFC 7662 §4): addresses take turns.
type queue struct {
	turns   *tokenep.Turns
	address Address
}

func newQueue(connection outbound.Options, address Address) queue {
	connection.Complete()
	if address == nil {
		address = tokenep.PeerAddress
	}
	return queue{tokenep.NewTokenQueue(connection.Requests), address}
}

// turn returns the turn of whoever has sent a request.
func (q queue) turn(r *tokenep.Request) outbound.Turn {
	return func(ctx context.Context) (func(), error) {
		return q.turns.Take(ctx, tokenep.Network(q.address(r.Request)))
	}
}

package oauthadmin

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/verify"
)

// adminClient is a client in requests and answers, without its secrets. The members are those of a
// configured client.
type adminClient struct {
	ID             string         `json:"id"`
	Name           string         `json:"name,omitempty"`
	AuthMethod     string         `json:"auth_method,omitempty"` // none: it gets no secret
	Grants         []string       `json:"grants,omitempty"`
	Scope          []string       `json:"scope,omitempty"`
	DefaultScope   []string       `json:"default_scope,omitempty"`
	Audience       []string       `json:"audience,omitempty"`
	AccessTokenTTL caddy.Duration `json:"access_token_ttl,omitempty"` // or a text: "4h"
	ExchangeFrom   []string       `json:"exchange_from,omitempty"`

	// Only in answers. A configured client is in Caddy's configuration, and is changed there.
	Created    time.Time `json:"created,omitzero"`
	Configured bool      `json:"configured,omitempty"`
}

// clientPage is a page of clients. Next is ?after for the next page, and empty on the last one.
type clientPage struct {
	Clients []adminClient `json:"clients"`
	Next    string        `json:"next,omitempty"`
}

// madeClient is the answer to a request that adds a client.
type madeClient struct {
	Client adminClient `json:"client"`
	Secret string      `json:"secret,omitempty"`
}

// listClients returns a page of all clients, ordered by id.
func listClients(r *request) (any, error) {
	after, limit, err := r.page()
	if err != nil {
		return nil, err
	}
	stored, err := r.server.Server().Clients.List(r.Context(), after, limit)
	if err != nil {
		return nil, err
	}
	page := clientPage{Clients: []adminClient{}}
	last := "" // what comes after it waits for the next page, since the store may have more
	for i := range stored {
		page.Clients = append(page.Clients, showClient(&stored[i], false))
		last = stored[i].ID
	}
	for i := range r.server.Server().Config.Clients {
		c := &r.server.Server().Config.Clients[i]
		if c.ID > after && (last == "" || c.ID <= last) {
			page.Clients = append(page.Clients, showClient(c, true))
		}
	}
	slices.SortStableFunc(page.Clients, func(a, b adminClient) int { return cmp.Compare(a.ID, b.ID) })
	page.Clients = page.Clients[:min(limit, len(page.Clients))]
	if n := len(page.Clients); n > 0 {
		page.Next = page.Clients[n-1].ID
	}
	return page, nil
}

// addClient adds a client. The answer has its secret, if it has one.
func addClient(r *request) (any, error) {
	var in adminClient
	if err := r.read(&in); err != nil {
		return nil, err
	}
	if configured(r.server, in.ID) {
		return nil, configuredClient(r.server, in.ID, "no other client can have this id")
	}
	client, err := in.client(r.server)
	if err != nil {
		return nil, err
	}
	secret, err := r.server.Server().Clients.Add(r.Context(), client)
	if err != nil {
		return nil, err
	}
	added, err := r.server.Server().Clients.Load(r.Context(), client.ID)
	if err != nil {
		return nil, err
	}
	return madeClient{Client: showClient(added, false), Secret: secret}, nil
}

// removeClient removes a client, and revokes its access tokens (RFC 7592 §2.3).
func removeClient(r *request) (any, error) {
	if configured(r.server, r.id) {
		return nil, configuredClient(r.server, r.id, "remove it there")
	}
	return nil, r.server.Server().Clients.Remove(r.Context(), r.id)
}

// configured reports whether the client is in Caddy's configuration.
func configured(s *oauthserver.AuthorizationServer, id string) bool {
	return slices.ContainsFunc(s.Server().Config.Clients, func(c tokenep.Client) bool { return c.ID == id })
}

func configuredClient(s *oauthserver.AuthorizationServer, id, consequence string) error {
	return refuse(http.StatusConflict, "client %q is in Caddy's configuration, under oauth_server %s: %s", id, s.Name(), consequence)
}

// client returns the client that a request describes, and checks it field by field.
func (c *adminClient) client(s *oauthserver.AuthorizationServer) (client tokenep.Client, err error) {
	client = tokenep.Client{
		ID: c.ID, Name: c.Name, AuthMethod: c.AuthMethod, Audience: c.Audience,
		TokenTTL: time.Duration(c.AccessTokenTTL), From: c.ExchangeFrom,
	}
	switch longest := s.Server().Config.LongestTTL(); {
	case c.ID == "":
		return client, refuse(http.StatusBadRequest, "id: is required")
	case len(c.Grants) == 0:
		return client, refuse(http.StatusBadRequest, "grants: at least one is required")
	case slices.Contains(c.Audience, ""):
		return client, refuse(http.StatusBadRequest, "audience: must not contain an empty value")
	case client.TokenTTL > longest:
		// Keys and revocations are kept for the longest lifetime of tokens in the configuration.
		return client, refuse(http.StatusBadRequest, "access_token_ttl: the configuration of the server allows %s at most", longest)
	case !c.Created.IsZero() || c.Configured:
		return client, refuse(http.StatusBadRequest, "created and configured must not be given")
	}
	for _, name := range c.Grants {
		grantType, ok := oauthserver.GrantType(name)
		if !ok {
			return client, refuse(http.StatusBadRequest, "grants: %q is unknown; expected client_credentials or token_exchange", name)
		}
		if !slices.Contains(client.Grants, grantType) {
			client.Grants = append(client.Grants, grantType)
		}
	}
	if client.Scope, err = verify.ParseScope(strings.Join(c.Scope, " ")); err != nil {
		return client, refuse(http.StatusBadRequest, "scope: %w", err)
	}
	if client.Default, err = verify.ParseScope(strings.Join(c.DefaultScope, " ")); err != nil {
		return client, refuse(http.StatusBadRequest, "default_scope: %w", err)
	}
	return client, nil
}

func showClient(c *tokenep.Client, configured bool) adminClient {
	shown := adminClient{
		ID: c.ID, Name: c.Name, AuthMethod: c.AuthMethod, Grants: c.Grants, Scope: c.Scope, DefaultScope: c.Default,
		Audience: c.Audience, AccessTokenTTL: caddy.Duration(c.TokenTTL), ExchangeFrom: c.From, Created: c.Created, Configured: configured,
	}
	if c.Public() {
		shown.AuthMethod = tokenep.AuthNone
	}
	return shown
}

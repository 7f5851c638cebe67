package oauthadmin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenep/caddy-tokenep/caddymodule/internal/adapt"
	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
)

// shownClient is a client as the admin API shows it, without its secrets, and takes it.
type shownClient struct {
	tokenep.Client
	Configured bool `json:"configured,omitempty"` // by Caddy's configuration, and changed there

	// The secrets that are good now. Empty: all have expired; nil: it has none.
	LiveSecrets []liveSecret `json:"live_secrets,omitzero"`
}

// liveSecret is what is shown of a secret that is good.
type liveSecret struct {
	Expires string `json:"expires"` // RFC 3339, or never
}

type clientPage struct {
	Clients []shownClient `json:"clients"`
	Next    string        `json:"next,omitempty"` // after of the next page; absent at the end
}

// madeClient is the answer that has the secret.
type madeClient struct {
	Client shownClient `json:"client"`
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
	page := clientPage{Clients: []shownClient{}}
	last := "" // what is beyond it may be in the store too, and waits for the next page
	for i := range stored {
		page.Clients = append(page.Clients, r.showStored(&stored[i]))
		last = stored[i].ID
	}
	for i := range r.server.Server().Config.Clients {
		c := &r.server.Server().Config.Clients[i]
		if c.ID > after && (last == "" || c.ID <= last) {
			page.Clients = append(page.Clients, r.showConfigured(c))
		}
	}
	slices.SortStableFunc(page.Clients, func(a, b shownClient) int { return cmp.Compare(a.ID, b.ID) })
	page.Clients = page.Clients[:min(limit, len(page.Clients))]
	if n := len(page.Clients); n > 0 {
		page.Next = page.Clients[n-1].ID
	}
	return page, nil
}

// findClient returns one client, of the configuration or of the store.
func findClient(r *request) (any, error) {
	static := r.server.Server().Config.Clients
	if i := slices.IndexFunc(static, func(c tokenep.Client) bool { return c.ID == r.id }); i >= 0 {
		return r.showConfigured(&static[i]), nil
	}
	found, err := r.server.Server().Clients.Load(r.Context(), r.id)
	if err != nil {
		return nil, err
	}
	return r.showStored(found), nil
}

// addClient registers a client. The answer has its secret, if it has one.
func addClient(r *request) (any, error) {
	var in shownClient
	if err := r.read(&in); err != nil {
		return nil, err
	}
	if configured(r.server, in.ID) {
		return nil, configuredClient(r.server, in.ID, "no other client can have this id")
	}
	if err := checkNewClient(r.server.Server(), &in); err != nil {
		return nil, err
	}
	secret, err := r.server.Server().Clients.Add(r.Context(), in.Client)
	if err != nil {
		return nil, err
	}
	added, err := r.server.Server().Clients.Load(r.Context(), in.ID)
	if err != nil {
		return nil, err
	}
	return madeClient{Client: r.showStored(added), Secret: secret}, nil
}

// updateClient changes the members of a client that the body has, each as a whole; null takes one
// away (RFC 7396). No token ends. The answer has a secret if the client needs one now and had none.
func updateClient(r *request) (any, error) {
	if configured(r.server, r.id) {
		return nil, configuredClient(r.server, r.id, "change it there")
	}
	var patch map[string]json.RawMessage
	if err := r.read(&patch); err != nil {
		return nil, err
	}
	if id, ok := patch["client_id"]; ok && string(id) != strconv.Quote(r.id) {
		return nil, refuse(http.StatusBadRequest, "client_id: an id cannot be changed; add another client")
	}
	updated, err := r.server.Server().Clients.Update(r.Context(), r.id, func(c *tokenep.Client) error {
		in, err := merge(c, patch)
		if err != nil {
			return refuse(http.StatusBadRequest, "the client would not be as expected: %w", err)
		}
		*c = in.Client
		return checkNewClient(r.server.Server(), &in)
	})
	if err != nil {
		return nil, err
	}
	return madeClient{Client: r.showStored(&updated.Client), Secret: updated.Secret}, nil
}

// merge returns a client with other members, without what the server sets.
func merge(c *tokenep.Client, patch map[string]json.RawMessage) (in shownClient, err error) {
	old := *c
	old.Secrets, old.IssuedAt, old.RegistrationID, old.SelfRegistered, old.UnusedUntil = nil, 0, "", false, 0
	text, err := json.Marshal(old)
	if err != nil {
		return in, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return in, err
	}
	for name, value := range patch {
		if name != strings.ToLower(name) {
			return in, fmt.Errorf("there is no member %.40q; all are in lower case", name)
		}
		if string(value) == "null" {
			delete(members, name)
		} else {
			members[name] = value
		}
	}
	if text, err = json.Marshal(members); err != nil {
		return in, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(&in)
	return in, err
}

// rotatedClient says how long the old secret of a client stays good.
type rotatedClient struct {
	Overlap tokenep.Duration `json:"overlap,omitempty"` // default: it ends at once
}

// rotateClient gives a client a new secret. No token ends.
func rotateClient(r *request) (any, error) {
	if configured(r.server, r.id) {
		return nil, configuredClient(r.server, r.id, "rotate its secret there, by a second line secret and an expires behind the first")
	}
	var in rotatedClient
	if err := r.readAny(&in); err != nil {
		return nil, err
	}
	rotated, err := r.server.Server().Clients.Rotate(r.Context(), r.id, time.Duration(in.Overlap))
	if err != nil {
		return nil, err
	}
	return madeClient{Client: r.showStored(&rotated.Client), Secret: rotated.Secret}, nil
}

// removeClient removes a client; its access tokens are refused from then on (RFC 7592 §2.3).
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

// checkNewClient refuses what cannot be submitted, beside what is wrong with any client.
func checkNewClient(s *server.Server, c *shownClient) error {
	commas := checkCommas(&c.Client)
	switch longest := s.Config.LongestTTL(); {
	case c.ID == "":
		return refuse(http.StatusBadRequest, "client_id: is required")
	case commas != nil:
		return refuse(http.StatusBadRequest, "%w", commas)
	case len(c.GrantTypes) == 0 && len(c.Introspect) == 0:
		return refuse(http.StatusBadRequest, "grant_types: at least one is required, or introspect")
	case slices.Contains(c.Audience, ""):
		return refuse(http.StatusBadRequest, "audience: must not contain an empty value")
	case time.Duration(c.AccessTokenTTL) > longest:
		// Keys and revocations are kept for as long as the configuration lets tokens live, and no
		// longer.
		return refuse(http.StatusBadRequest, "access_token_ttl: the configuration of the server allows %s at most",
			tokenep.Duration(longest))
	case c.Public() && c.May(grant.ClientCredentialsType):
		return refuse(http.StatusBadRequest, "grant_types: client_credentials needs a secret (RFC 6749 §4.4), and the client is public")
	case len(c.Secrets) > 0:
		return refuse(http.StatusBadRequest, "secrets: must not be given; the server makes the secret")
	case c.LiveSecrets != nil || c.IssuedAt != 0 || c.RegistrationID != "" || c.Configured || c.SelfRegistered || c.UnusedUntil != 0:
		return refuse(http.StatusBadRequest, "client_id_issued_at, registration_id, self_registered, unused_until, live_secrets and configured must not be given")
	}
	return nil
}

// checkCommas refuses lists that are written with commas, or with spaces in one name.
func checkCommas(c *tokenep.Client) error {
	if err := adapt.CheckScope(c.Scope, scopeMember("scope")); err != nil {
		return fmt.Errorf("scope: %w", err)
	}
	if err := adapt.CheckScope(c.DefaultScope, scopeMember("default_scope")); err != nil {
		return fmt.Errorf("default_scope: %w", err)
	}
	if err := adapt.CheckAudience(c.Audience, member("audience")); err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	if err := adapt.CheckRedirectURIs(c.RedirectURIs, member("redirect_uris")); err != nil {
		return fmt.Errorf("redirect_uris: %w", err)
	}
	if err := adapt.CheckRedirectURIs(c.PostLogoutRedirectURIs, member("post_logout_redirect_uris")); err != nil {
		return fmt.Errorf("post_logout_redirect_uris: %w", err)
	}
	if err := adapt.CheckNames(c.GrantTypes, "grants", member("grant_types")); err != nil {
		return fmt.Errorf("grant_types: %w", err)
	}
	if err := adapt.CheckNames(c.ExchangeFrom, "clients", member("exchange_from")); err != nil {
		return fmt.Errorf("exchange_from: %w", err)
	}
	if err := adapt.CheckAudience(c.ExchangeTo, member("exchange_to")); err != nil {
		return fmt.Errorf("exchange_to: %w", err)
	}
	return nil
}

// showStored returns what is shown of a client that was made at run time.
func (r *request) showStored(c *tokenep.Client) shownClient {
	shown := shownClient{Client: *c}
	shown.Secrets = nil
	now := r.server.Server().Config.Now()
	if len(c.Secrets) > 0 {
		shown.LiveSecrets = []liveSecret{}
	}
	for _, secret := range c.Secrets {
		switch {
		case secret.Expires.IsZero():
			shown.LiveSecrets = append(shown.LiveSecrets, liveSecret{never})
		case now.Before(secret.Expires):
			shown.LiveSecrets = append(shown.LiveSecrets, liveSecret{printTime(secret.Expires)})
		}
	}
	return shown
}

// showConfigured returns what is shown of a client of the configuration.
func (r *request) showConfigured(c *tokenep.Client) shownClient {
	shown := r.showStored(c)
	shown.Configured = true
	return shown
}

package oauthadmin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/tokenep/caddy-tokenep/caddymodule/oauthserver"
	"github.com/tokenep/caddy-tokenep/tokenep/store"
)

func init() {
	caddy.RegisterModule(new(API))
	caddycmd.RegisterCommand(oauthCommand())
}

// API manages the authorization servers over Caddy's admin API: clients, API tokens, consents,
// users, signing keys and revocations. Requests and answers are JSON, except for a backup; errors
// are those of Caddy's API. A secret is in the answer to the request that makes it, and nowhere
// else.
//
// The paths are below /oauth_server/:
//
//	GET    (nothing)                        the servers
//	GET    <server>                         one server
//	GET    <server>/clients                 clients, in pages: ?after=<id>&limit=<n>
//	POST   <server>/clients                 add a client; the answer has its secret
//	GET    <server>/clients/<id>            one client
//	PATCH  <server>/clients/<id>            change it, by a merge patch (RFC 7396); ends no token
//	POST   <server>/clients/<id>/rotate     give it a new secret; the answer has it
//	DELETE <server>/clients/<id>            remove a client, and revoke its access tokens
//	GET    <server>/api_tokens              API tokens, in pages, as above and ?owner=<name>
//	POST   <server>/api_tokens              create an API token; the answer has its text
//	POST   <server>/api_tokens/revoke       revoke all of an owner
//	POST   <server>/api_tokens/import       take over those of another system, 100 at once
//	POST   <server>/api_tokens/<id>/roll    give it a new secret; the answer has the new text
//	POST   <server>/api_tokens/<id>/revoke  revoke it, and the access tokens that came of it
//	DELETE <server>/api_tokens/<id>         the same
//	GET    <server>/consents                what users have allowed, likewise, and ?sub=<name>
//	POST   <server>/consents/revoke         revoke it, by sub and client_id, or by sub alone
//	GET    <server>/users                   users of whom something is kept, in pages, as above
//	GET    <server>/users/<sub>             what a user has
//	POST   <server>/users/<sub>/disable     keep a user from signing in and from getting tokens
//	POST   <server>/users/<sub>/enable      the inverse of it
//	POST   <server>/users/<sub>/revoke      end all that a user has
//	GET    <server>/users/<sub>/sessions    the browsers in which a user has signed in
//	POST   <server>/users/<sub>/sessions/end
//	                                        sign the user out there, by id, or by all: true
//	GET    <server>/keys                    signing keys
//	POST   <server>/keys/rotate             sign with the next key from now on; ?force=true: even
//	                                        if verifiers may not know it yet
//	POST   <server>/keys/<kid>/withdraw     refuse everything that the key has signed
//	DELETE <server>/keys/<kid>              the same
//	POST   <server>/revocations             revoke access tokens by token, jti, grant_id,
//	                                        client_id, sub or iss
//	GET    <server>/backup                  a copy of the store bolt, with the private keys
//	GET    <server>/secret_patterns         regular expressions of what is generated
//	POST   <server>/inspect                 what a token says, and which checks it does not pass
//	GET    <server>/policies                the policies for tokens of others
//	POST   <server>/policies/test           what the policies would make of a token of others
//
// POST /oauth_verify/inspect says what a route would make of a token.
type API struct {
	running func() (*oauthserver.App, error)
}

const basePath = "/oauth_server/"

// CaddyModule returns the Caddy module information.
func (*API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.oauth_server",
		New: func() caddy.Module { return &API{running: runningApp} },
	}
}

// runningApp returns the app of the configuration that is running. That may be another than the one
// with which this module was loaded: after a reload that failed, Caddy goes on with the old
// configuration, but with the admin routers of the new one.
func runningApp() (*oauthserver.App, error) {
	active := caddy.ActiveContext()
	if active.Context == nil {
		return nil, refuse(http.StatusServiceUnavailable, "Caddy has not started yet")
	}
	app, err := active.AppIfConfigured("oauth_server")
	if err != nil {
		return nil, refuse(http.StatusNotFound, "there is no oauth_server in the running configuration")
	}
	return app.(*oauthserver.App), nil
}

// Routes returns two routes: for everything below the base path, and for what is of no one server.
func (a *API) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: basePath, Handler: caddy.AdminHandlerFunc(a.serve)},
		{Pattern: routePath, Handler: caddy.AdminHandlerFunc(inspectRoute)},
	}
}

// routes are the resources of a server. A * stands for an id.
var routes = []struct {
	method, path string
	status       int
	handle       func(*request) (any, error)
}{
	{http.MethodGet, "", http.StatusOK, showServer},
	{http.MethodGet, "clients", http.StatusOK, listClients},
	{http.MethodPost, "clients", http.StatusCreated, addClient},
	{http.MethodGet, "clients/*", http.StatusOK, findClient},
	{http.MethodPatch, "clients/*", http.StatusOK, updateClient},
	{http.MethodPost, "clients/*/rotate", http.StatusCreated, rotateClient},
	{http.MethodDelete, "clients/*", http.StatusNoContent, removeClient},
	{http.MethodGet, "api_tokens", http.StatusOK, listAPITokens},
	{http.MethodPost, "api_tokens", http.StatusCreated, createAPIToken},
	{http.MethodDelete, "api_tokens/*", http.StatusNoContent, revokeAPIToken},
	{http.MethodPost, "api_tokens/*/revoke", http.StatusNoContent, revokeAPIToken},
	{http.MethodPost, "api_tokens/*/roll", http.StatusCreated, rollAPIToken},
	{http.MethodPost, "api_tokens/import", http.StatusOK, importAPITokens},
	{http.MethodPost, "api_tokens/revoke", http.StatusOK, revokeAPITokens},
	{http.MethodGet, "consents", http.StatusOK, listConsents},
	{http.MethodPost, "consents/revoke", http.StatusNoContent, revokeConsent},
	{http.MethodGet, "users", http.StatusOK, listUsers},
	{http.MethodGet, "users/*", http.StatusOK, showUser},
	{http.MethodPost, "users/*/disable", http.StatusNoContent, disableUser},
	{http.MethodPost, "users/*/enable", http.StatusNoContent, enableUser},
	{http.MethodPost, "users/*/revoke", http.StatusNoContent, revokeUser},
	{http.MethodGet, "users/*/sessions", http.StatusOK, listSessions},
	{http.MethodPost, "users/*/sessions/end", http.StatusNoContent, endSessions},
	{http.MethodGet, "keys", http.StatusOK, listKeys},
	{http.MethodPost, "keys/rotate", http.StatusOK, rotateKeys},
	{http.MethodPost, "keys/*/withdraw", http.StatusOK, withdrawKey},
	{http.MethodDelete, "keys/*", http.StatusOK, withdrawKey},
	{http.MethodPost, "revocations", http.StatusNoContent, revokeTokens},
	{http.MethodGet, "backup", http.StatusOK, takeBackup},
	{http.MethodGet, "secret_patterns", http.StatusOK, showSecretPatterns},
	{http.MethodPost, "inspect", http.StatusOK, inspectToken},
	{http.MethodGet, "policies", http.StatusOK, listPolicies},
	{http.MethodPost, "policies/test", http.StatusOK, testPolicies},
}

// request is a request for a resource of one server.
type request struct {
	*http.Request
	server *oauthserver.AuthorizationServer
	id     string // the segment for the * of the route
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) error {
	// Some answers have secrets, and the others change with time.
	w.Header().Set("Cache-Control", "no-store")
	if err := a.answer(w, r); err != nil {
		return asAPIError(w, err)
	}
	return nil
}

// answer finds the server and the route, and writes the answer of the route.
func (a *API) answer(w http.ResponseWriter, r *http.Request) error {
	segments, err := pathSegments(r.URL)
	if err != nil {
		return refuse(http.StatusBadRequest, "path: %w", err)
	}
	app, err := a.running()
	if err != nil {
		return err
	}
	if len(segments) == 0 {
		return listServers(w, r, app)
	}
	server, err := app.Server(segments[0])
	if err != nil {
		return refuse(http.StatusNotFound, "%w", err)
	}
	handle, id, status, err := findRoute(w, r, segments[1:])
	if err != nil {
		return err
	}
	answer, err := handle(&request{Request: r, server: server, id: id})
	if err != nil {
		return err
	}
	if file, ok := answer.(*backup); ok {
		return file.send(w, r)
	}
	return writeAnswer(w, status, answer)
}

// findRoute returns the handler of the path, the segment for the *, and the status of success.
func findRoute(w http.ResponseWriter, r *http.Request, segments []string) (handle func(*request) (any, error), id string, status int, err error) {
	var allowed []string
	for _, route := range routes {
		found, ok := matchPath(route.path, segments)
		if !ok {
			continue
		}
		if route.method == r.Method {
			return route.handle, found, route.status, nil
		}
		allowed = append(allowed, route.method)
	}
	if len(allowed) == 0 {
		return nil, "", 0, refuse(http.StatusNotFound, "there is no resource %s", r.URL.Path)
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return nil, "", 0, refuse(http.StatusMethodNotAllowed, "method %s is not allowed here", r.Method)
}

// matchPath compares segments with a path of routes.
func matchPath(path string, segments []string) (id string, ok bool) {
	var want []string
	if path != "" {
		want = strings.Split(path, "/")
	}
	if len(want) != len(segments) {
		return "", false
	}
	for i, segment := range segments {
		switch want[i] {
		case "*":
			id = segment
		case segment:
		default:
			return "", false
		}
	}
	return id, true
}

// pathSegments returns the segments after the base path. Each is decoded by itself, since an id may
// contain a slash.
func pathSegments(u *url.URL) ([]string, error) {
	rest := strings.Trim(strings.TrimPrefix(u.EscapedPath(), basePath), "/")
	if rest == "" {
		return nil, nil
	}
	segments := strings.Split(rest, "/")
	for i := range segments {
		var err error
		if segments[i], err = url.PathUnescape(segments[i]); err != nil {
			return nil, err
		}
	}
	return segments, nil
}

// serverInfo describes a server.
type serverInfo struct {
	Name          string   `json:"name"`
	Issuer        string   `json:"issuer"`
	APITokenTypes []string `json:"api_token_types,omitempty"` // of RFC 8693 §3
}

func describeServer(s *oauthserver.AuthorizationServer) serverInfo {
	described := serverInfo{Name: s.Name(), Issuer: s.Server().Config.Issuer}
	if t := s.Server().Config.Exchange.APITokens; t != nil {
		described.APITokenTypes = t.Types
	}
	return described
}

func showServer(r *request) (any, error) { return describeServer(r.server), nil }

func listServers(w http.ResponseWriter, r *http.Request, app *oauthserver.App) error {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		return refuse(http.StatusMethodNotAllowed, "method %s is not allowed here", r.Method)
	}
	servers := make([]serverInfo, 0, len(app.Servers))
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		servers = append(servers, describeServer(app.Servers[name]))
	}
	return writeAnswer(w, http.StatusOK, map[string]any{"servers": servers})
}

// maxBody is the largest size of a request body, in bytes.
const maxBody = 64 << 10

// read decodes the body, which must be one JSON object without unknown members.
func (r *request) read(into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return refuse(http.StatusBadRequest, "the body is not the expected JSON object: %w", err)
	}
	if decoder.More() {
		return refuse(http.StatusBadRequest, "the body must be one JSON object; something follows it")
	}
	return nil
}

// readAny is read for a body that may be left out.
func (r *request) readAny(into any) error {
	if r.Body == nil || r.ContentLength == 0 {
		return nil
	}
	return r.read(into)
}

// page returns the page of a list that the query asks for: ?after, and ?limit, which is 100 by
// default.
func (r *request) page() (after string, limit int, err error) {
	query := r.URL.Query()
	limit = 100
	if text := query.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > store.MaxPage {
			return "", 0, refuse(http.StatusBadRequest, "limit: must be a number from 1 to %d", store.MaxPage)
		}
	}
	return query.Get("after"), limit, nil
}

func writeAnswer(w http.ResponseWriter, status int, answer any) error {
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return nil
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
	return nil
}

// Interface guard
var _ caddy.AdminRouter = (*API)(nil)

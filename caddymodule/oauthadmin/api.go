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

// API manages the authorization servers over Caddy's admin API: clients, API tokens, signing keys, revocations. Requests and
// answers are JSON; errors are those of Caddy's API. A secret is in the answer that makes it, and nowhere else.
//
//	GET    /oauth_server/                                    the servers
//	GET    /oauth_server/<server>                            one server
//	GET    /oauth_server/<server>/clients                    clients, in pages: ?after=<id>&limit=<n>
//	POST   /oauth_server/<server>/clients                    add a client; the answer has its secret
//	DELETE /oauth_server/<server>/clients/<id>               remove a client, and revoke its access tokens
//	GET    /oauth_server/<server>/api_tokens                 API tokens, in pages: ?owner=<name>&after=<id>&limit=<n>
//	POST   /oauth_server/<server>/api_tokens                 create an API token; the answer has it
//	POST   /oauth_server/<server>/api_tokens/<id>/rotate     replace it by a new one; the answer has it
//	POST   /oauth_server/<server>/api_tokens/<id>/revoke     revoke it, and the access tokens made from it; DELETE …/<id> is the same
//	GET    /oauth_server/<server>/keys                       signing keys
//	POST   /oauth_server/<server>/keys/rotate                sign with the next key from now on: ?force=true, even if verifiers may not know it
//	POST   /oauth_server/<server>/keys/<kid>/withdraw        refuse all that a key has signed, from now on; DELETE …/<kid> is the same
//	POST   /oauth_server/<server>/revocations                revoke access tokens by token, jti, grant_id, client_id or sub
//	GET    /oauth_server/<server>/backup                     a copy of the store, if it is bolt: not JSON, and it holds the private keys
//	POST   /oauth_server/<server>/inspect                    what a token says, and which check it would not pass
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

// runningApp returns the app of the configuration that is running, which need not be the one that this module was loaded with: after a reload that
// failed, Caddy goes on with the old configuration, but with the admin routers of the new one.
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

// Routes returns the one route below which everything is.
func (a *API) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: basePath, Handler: caddy.AdminHandlerFunc(a.serve)}}
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
	{http.MethodDelete, "clients/*", http.StatusNoContent, removeClient},
	{http.MethodGet, "api_tokens", http.StatusOK, listAPITokens},
	{http.MethodPost, "api_tokens", http.StatusCreated, createAPIToken},
	{http.MethodDelete, "api_tokens/*", http.StatusNoContent, revokeAPIToken},
	{http.MethodPost, "api_tokens/*/revoke", http.StatusNoContent, revokeAPIToken},
	{http.MethodPost, "api_tokens/*/rotate", http.StatusCreated, rotateAPIToken},
	{http.MethodGet, "keys", http.StatusOK, listKeys},
	{http.MethodPost, "keys/rotate", http.StatusOK, rotateKeys},
	{http.MethodPost, "keys/*/withdraw", http.StatusOK, withdrawKey},
	{http.MethodDelete, "keys/*", http.StatusOK, withdrawKey},
	{http.MethodPost, "revocations", http.StatusNoContent, revokeTokens},
	{http.MethodGet, "backup", http.StatusOK, takeBackup},
	{http.MethodPost, "inspect", http.StatusOK, inspectToken},
}

// request is a request for a resource of one server.
type request struct {
	*http.Request
	server *oauthserver.AuthorizationServer
	id     string // what stands for the * of the route
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store") // some answers have secrets, and the others change
	if err := a.answer(w, r); err != nil {
		return asAPIError(w, err)
	}
	return nil
}

// answer finds the server and the route, and writes what the route says.
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

// findRoute returns what handles the path, with the segment that the * stands for.
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

// matchPath compares segments to a path of routes.
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

// pathSegments returns what follows the base path, each segment decoded by itself: an id may have a slash in it.
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
	APITokenTypes []string `json:"api_token_types,omitempty"` // token type identifiers (RFC 8693 §3) of API tokens
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

// maxBody bounds the body of a request, in bytes.
const maxBody = 64 << 10

// read decodes the body, which is one JSON object without unknown members.
func (r *request) read(into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return refuse(http.StatusBadRequest, "the body is not the JSON object that is wanted here: %w", err)
	}
	if decoder.More() {
		return refuse(http.StatusBadRequest, "something follows the JSON object of the body")
	}
	return nil
}

// page returns the bounds of a list: ?after and ?limit, which is 100 by default.
func (r *request) page() (after string, limit int, err error) {
	query := r.URL.Query()
	limit = 100
	if text := query.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > store.MaxPage {
			return "", 0, refuse(http.StatusBadRequest, "limit: it is a number from 1 to %d", store.MaxPage)
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

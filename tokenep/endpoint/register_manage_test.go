package endpoint_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
)

// managed is a client that registered itself, as it was told of.
type managed struct{ id, secret, token, path string }

func manageable(t *testing.T, s *tokeneptest.Server, members string) managed {
	t.Helper()
	a := s.Send(t, register(document(members)))
	text := func(name string) string { value, _ := a.JSON[name].(string); return value }
	m := managed{text("client_id"), text("client_secret"), text("registration_access_token"), ""}
	at, err := url.Parse(text("registration_client_uri"))
	if a.Status != 201 || err != nil || m.token == "" || at.Scheme+"://"+at.Host != issuer {
		t.Fatalf("%d %s %v", a.Status, a.Body, err)
	}
	m.path = at.RequestURI()
	return m
}

// send is a request to the client configuration endpoint.
func (m managed) send(method, body string) request {
	r := register(body).At(m.path).With("Authorization", "Bearer "+m.token)
	r.Method = method
	return r
}

// put is a change, with the client_id that it must have.
func (m managed) put(members string) request {
	return m.send(http.MethodPut, document(`"client_id":"`+m.id+`",`+members))
}

// RFC 7592 §2: what is refused. An unknown client and a wrong token are refused alike.
func TestRegistrationManagementRules(t *testing.T) {
	s := tokeneptest.New(t, registering)
	m, other := manageable(t, s, ""), manageable(t, s, "")
	const metadata = tokenep.InvalidClientMetadata
	refusal := s.Send(t, m.send("GET", "").With("Authorization", "Bearer "+other.token))
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		for name, r := range map[string]request{
			"the token of another": m.send(method, "{}").With("Authorization", "Bearer "+other.token),
			"a wrong token":        m.send(method, "{}").With("Authorization", "Bearer x"),
			"an unknown client":    m.send(method, "{}").At(registerPath + "?client_id=unknown"),
			"a long id":            m.send(method, "{}").At(registerPath + "?client_id=" + strings.Repeat("x", 1000)),
			"no client":            m.send(method, "{}").At(registerPath),
			"a configured client":  m.send(method, "{}").At(registerPath + "?client_id=site"),
		} {
			a := s.Send(t, r)
			a.Refused(t, 401, tokenep.InvalidToken)
			if string(a.Body) != string(refusal.Body) || a.Header.Get("WWW-Authenticate") != refusal.Header.Get("WWW-Authenticate") {
				t.Errorf("%s %s: %s, and not %s", method, name, a.Body, refusal.Body)
			}
		}
	}
	s.Run(t, []rule{
		refuses("2.1: no token", get(m.path), 401, tokenep.InvalidToken),
		refuses("2.1: two tokens", m.send("GET", "").With("Authorization", "Bearer a", "Bearer "+m.token), 400, tokenep.InvalidRequest),
		refuses("2.1: in Basic", get(m.path).Basic(m.id, m.secret), 401, tokenep.InvalidToken),
		refuses("2.2: no client_id", m.send("PUT", document("")), 400, metadata),
		refuses("2.2: that of another", m.send("PUT", document(`"client_id":"`+other.id+`"`)), 400, metadata),
		refuses("2.2: no document", m.send("PUT", "[]"), 400, metadata),
		refuses("2.2: a secret of its own", m.put(`"client_secret":"chosen"`), 400, metadata),
		refuses("2.2: an empty secret", m.put(`"client_secret":""`), 400, metadata),
		refuses("2.2: registration_access_token", m.put(`"registration_access_token":"`+m.token+`"`), 400, metadata),
		refuses("2.2: registration_client_uri", m.put(`"registration_client_uri":"x"`), 400, metadata),
		refuses("2.2: client_secret_expires_at", m.put(`"client_secret_expires_at":0`), 400, metadata),
		refuses("2.2: client_id_issued_at", m.put(`"client_id_issued_at":1`), 400, metadata),
		refuses("2.2: beyond the template", m.put(`"scope":"admin"`), 400, metadata),
		refuses("2.2: what no server can keep", m.put(`"client_name":"a\nb"`), 400, metadata),
		refuses("2.2: another redirect URI", m.send("PUT", `{"client_id":"`+m.id+`","redirect_uris":["https://evil.example"]}`), 400, tokenep.InvalidRedirectURI),
		refuses("2: PATCH", m.send("PATCH", "{}"), 405, tokenep.InvalidRequest),
	})
}

// RFC 7592 §2.1, §2.2 and §3: reading shows what is registered, but for the secret; a change
// replaces all of it, and keeps id, secret and token.
func TestRegistrationIsChanged(t *testing.T) {
	s := tokeneptest.New(t, registering)
	m := manageable(t, s, `"client_name":"Photos","scope":"read","grant_types":["authorization_code","client_credentials"]`)
	s.Clock.Advance(time.Hour)
	issued := float64(tokeneptest.Start.Unix())
	told := func(r request, want map[string]any) {
		t.Helper()
		a := s.Send(t, r)
		for name, value := range map[string]any{
			"client_id": m.id, "client_id_issued_at": issued, "client_secret_expires_at": 0.0, "registration_access_token": m.token,
			"registration_client_uri": issuer + m.path, "redirect_uris": []any{"https://a.app.example/cb"},
		} {
			if _, there := want[name]; !there {
				want[name] = value
			}
		}
		maps.DeleteFunc(want, func(_ string, value any) bool { return value == nil })
		if a.Status != 200 || !tokeneptest.EqualJSON(a.JSON, want) {
			t.Fatalf("%d %s, want %v", a.Status, a.Body, want)
		}
		a.NotStored(t)
	}
	basic := map[string]any{
		"client_name": "Photos", "scope": "read", "grant_types": []any{"authorization_code", "client_credentials"},
		"response_types": []any{"code"}, "token_endpoint_auth_method": "client_secret_basic",
	}
	told(m.send("GET", ""), basic)
	s.Granted(t, plain.Basic(m.id, m.secret))

	told(m.put(`"client_secret":"`+m.secret+`","client_name":null,"grant_types":["client_credentials"],"token_endpoint_auth_method":"client_secret_post"`), map[string]any{
		"scope": "openid read write", "grant_types": []any{"client_credentials"}, "response_types": []any{},
		"token_endpoint_auth_method": "client_secret_post", "redirect_uris": nil,
	})
}

// RFC 7592 §2.2: a client that becomes public loses its secret, and gets another when it changes
// its mind.
func TestRegistrationChangesItsMethod(t *testing.T) {
	s := tokeneptest.New(t, registering)
	const both = `"grant_types":["authorization_code","client_credentials"]`
	m := manageable(t, s, both)
	if a := s.Send(t, m.put(both)); a.Status != 200 || a.JSON["client_secret"] != nil {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	s.Granted(t, plain.Basic(m.id, m.secret))
	if a := s.Send(t, m.put(`"token_endpoint_auth_method":"none"`)); a.Status != 200 || a.JSON["client_secret"] != nil || a.JSON["client_secret_expires_at"] != nil {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	s.Send(t, plain.Basic(m.id, m.secret)).Refused(t, 401, tokenep.InvalidClient)
	a := s.Send(t, m.put(both))
	secret, _ := a.JSON["client_secret"].(string)
	if a.Status != 200 || secret == "" || secret == m.secret {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	s.Send(t, plain.Basic(m.id, m.secret)).Refused(t, 401, tokenep.InvalidClient)
	s.Granted(t, plain.Basic(m.id, secret))

	// A change is no use, and a client that was used stays.
	idle := manageable(t, s, "")
	s.Clock.Advance(29 * 24 * time.Hour)
	if a := s.Send(t, idle.put(``)); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	s.Clock.Advance(2 * 24 * time.Hour)
	s.Send(t, idle.send("GET", "")).Refused(t, 401, tokenep.InvalidToken)
	if a := s.Send(t, m.send("GET", "")); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// RFC 7592 §2.3: a client that deletes its registration is gone, with its tokens.
func TestRegistrationIsDeleted(t *testing.T) {
	s := tokeneptest.New(t, registering)
	m := manageable(t, s, `"grant_types":["client_credentials"]`)
	token := s.Issued(t, plain.Basic(m.id, m.secret))
	a := s.Send(t, m.send("DELETE", ""))
	if a.Status != 204 || len(a.Body) > 0 || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if _, err := s.Verify(t, token); err == nil {
		t.Error("its token is good")
	}
	s.Send(t, plain.Basic(m.id, m.secret)).Refused(t, 401, tokenep.InvalidClient)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		s.Send(t, m.send(method, "{}")).Refused(t, 401, tokenep.InvalidToken)
	}
}

// Of changes at the same time each is whole, and the client is used all the same.
func TestRegistrationIsChangedByMany(t *testing.T) {
	s := tokeneptest.New(t, registering)
	m := manageable(t, s, `"grant_types":["client_credentials"],"client_name":"0","scope":"read"`)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if a := s.Send(t, m.put(fmt.Sprintf(`"grant_types":["client_credentials"],"client_name":"%d","scope":"%s"`, i, []string{"read", "write"}[i%2]))); a.Status != 200 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
		wg.Go(func() { s.Granted(t, plain.Basic(m.id, m.secret)) })
	}
	wg.Wait()
	c, err := s.Clients.Load(t.Context(), m.id)
	if err != nil || c.UnusedUntil != 0 || c.Scope.String() != map[string]string{"0": "read", "1": "write"}[string('0'+(c.Name[0]-'0')%2)] {
		t.Errorf("%+v, %v", c, err)
	}
	s.Clock.Advance(365 * 24 * time.Hour)
	s.Granted(t, plain.Basic(m.id, m.secret))
}

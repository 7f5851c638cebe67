package grant_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/store/memory"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify"
)

// withPasswords returns a Change: these people have told legacy and phone their passwords. legacy
// gets refresh tokens; phone is public; early may not use the grant.
func withPasswords(people *tokeneptest.People) tokeneptest.Change {
	return func(c *server.Config) {
		people.SignIn(c)
		c.PasswordGrant = true
		c.UserClaims = tokenep.UserClaims{"email": "email"}
		legacy := tokeneptest.NewClient("legacy", grant.PasswordType, grant.RefreshTokenType)
		phone := tokenep.Client{ID: "phone", AuthMethod: tokenep.AuthNone, GrantTypes: []string{grant.PasswordType}}
		for _, client := range []*tokenep.Client{&legacy, &phone} {
			client.Scope = verify.Scope{"openid", "email", "read", "write"}
			client.DefaultScope = verify.Scope{"read"}
			client.Audience = []string{orders, invoices}
		}
		c.Clients = append(c.Clients, legacy, phone, tokeneptest.NewClient("early", grant.RefreshTokenType))
	}
}

// byPassword is a request of legacy for ada, with further parameters.
func byPassword(pairs ...string) request {
	return post(append([]string{"grant_type", grant.PasswordType, "username", "ada", "password", "ada-password"}, pairs...)...).By("legacy")
}

func asking(name, password string) request {
	return post("grant_type", grant.PasswordType, "username", name, "password", password).By("legacy")
}

// RFC 6749 §4.3.3: the token is about the user, and says how and when the user signed in.
func TestPassword(t *testing.T) {
	s := tokeneptest.New(t, withPasswords(tokeneptest.NewPeople("ada")))
	a, token := s.Granted(t, byPassword())
	if token.Subject != "ada" || token.ClientID != "legacy" || token.Scope.String() != "read" || len(token.Audience) != 2 {
		t.Errorf("%+v", token)
	}
	if a.RefreshToken() == "" || token.Claims["grant_id"] == nil || fmt.Sprint(token.Claims["auth_time"]) != fmt.Sprint(tokeneptest.Start.Unix()) {
		t.Errorf("%s %v", a.Body, token.Claims)
	}
	if strings.Contains(s.Log.String(), "ada-password") {
		t.Error("the log shows the password")
	}
	b, again := s.Granted(t, refresh("legacy", a.RefreshToken()))
	if again.Subject != "ada" || again.Claims["grant_id"] != token.Claims["grant_id"] || b.JSON["scope"] != "read" {
		t.Errorf("%+v %s", again, b.Body)
	}
	c, public := s.Granted(t, post("grant_type", grant.PasswordType, "client_id", "phone", "username", "ada", "password", "ada-password"))
	if c.RefreshToken() != "" || public.Claims["grant_id"] != nil {
		t.Errorf("a client without the refresh token grant gets %s, %v", c.Body, public.Claims)
	}
}

// RFC 6749 §4.3.2 and §5.2: what is wrong is refused, alike for an unknown name and a wrong
// password, and nothing is written.
func TestPasswordRules(t *testing.T) {
	s := tokeneptest.New(t, withPasswords(tokeneptest.NewPeople("ada", "client:robot", "bad\u0085name")))
	wrong := func(name string, r request) rule { return refuses(name, r, 400, tokenep.InvalidGrant) }
	s.Run(t, []rule{
		refuses("4.3.2: username missing", asking("", "ada-password"), 400, tokenep.InvalidRequest),
		refuses("4.3.2: password missing", asking("ada", ""), 400, tokenep.InvalidRequest),
		refuses("3.2: username repeated", byPassword("username", "bert"), 400, tokenep.InvalidRequest),
		wrong("5.2: wrong password", asking("ada", "wrong")),
		wrong("5.2: password of another", asking("ada", "bert-password")),
		wrong("5.2: unknown name", asking("bert", "bert-password")),
		wrong("a name that is too long", asking(strings.Repeat("a", 256), "x")),
		wrong("a password that is too long", asking("ada", "ada-password"+strings.Repeat(" ", 1024))),
		wrong("a name of white space", asking(" ", "x")),
		wrong("a name with a control character", asking("ada\n", "ada-password\n")),
		wrong("RFC 9068 5: the name of a client", asking("client:robot", "client:robot-password")),
		wrong("a name that no token can have", asking("bad\u0085name", "bad\u0085name-password")),
		refuses("3.2.1: no client", post("grant_type", "password", "username", "ada", "password", "ada-password"), 401, tokenep.InvalidClient),
		refuses("3.2.1: a wrong secret", byPassword().Basic("legacy", "wrong"), 401, tokenep.InvalidClient),
		refuses("5.2: a client without the grant", byPassword().By("early"), 400, tokenep.UnauthorizedClient),
		refuses("3.3: more scope", byPassword("scope", "read admin"), 400, tokenep.InvalidScope),
		refuses("RFC 8707 2.2: a resource of nobody", byPassword("resource", "https://elsewhere.example"), 400, tokenep.InvalidTarget),
		grants("after all that", byPassword()),
		grants("white space around a name, which telephones add", asking(" ada ", "ada-password")),
	})
}

// A name is the same however its letters were composed (RFC 8265 §3.3.2).
func TestPasswordOfComposedNames(t *testing.T) {
	s := tokeneptest.New(t, withPasswords(tokeneptest.NewPeople("b\u00e4rbel")))
	_, token := s.Granted(t, asking("ba\u0308rbel", "ba\u0308rbel-password"))
	if token.Subject != "b\u00e4rbel" {
		t.Errorf("%q", token.Subject)
	}
}

// A refresh token reaches as far as what was asked for (RFC 6749 §6, RFC 8707 §2.2), and no
// further.
func TestPasswordNarrows(t *testing.T) {
	s := tokeneptest.New(t, withPasswords(tokeneptest.NewPeople("ada")))
	a, _ := s.Granted(t, byPassword("scope", "read write", "resource", orders))
	_, token := s.Granted(t, refresh("legacy", a.RefreshToken()))
	if token.Scope.String() != "read write" || len(token.Audience) != 1 || token.Audience[0] != orders {
		t.Errorf("%+v", token)
	}
	s.Send(t, refresh("legacy", a.RefreshToken(), "resource", invoices)).Refused(t, 400, tokenep.InvalidTarget)
	s.Send(t, refresh("legacy", a.RefreshToken(), "scope", "email")).Refused(t, 400, tokenep.InvalidScope)
}

// OpenID Connect Core §5.4: with the scope openid there is an ID token, and userinfo tells what the
// scope asks for.
func TestPasswordOpenID(t *testing.T) {
	s := tokeneptest.New(t, withPasswords(tokeneptest.NewPeople("ada")))
	a, _ := s.Granted(t, byPassword("scope", "openid email"))
	if _, claims := idToken(t, s, a); claims["sub"] != "ada" || claims["auth_time"] == nil || claims["email"] != nil {
		t.Errorf("%v", claims)
	}
	if got := s.Send(t, tokeneptest.Get("/oauth/userinfo").With("Authorization", "Bearer "+a.AccessToken())); got.JSON["email"] != "ada@people.example" || got.JSON["sub"] != "ada" {
		t.Errorf("%s", got.Body)
	}
	b, _ := s.Granted(t, byPassword("scope", "openid"))
	if got := s.Send(t, tokeneptest.Get("/oauth/userinfo").With("Authorization", "Bearer "+b.AccessToken())); got.JSON["email"] != nil {
		t.Errorf("without the scope: %s", got.Body)
	}
}

// While nobody knows who somebody is, no client throws a password away: 503.
func TestPasswordUnknown(t *testing.T) {
	people := tokeneptest.NewPeople("ada")
	s := tokeneptest.New(t, withPasswords(people), tokeneptest.Limited)
	people.Away(errors.New("the directory is away"))
	for range 100 { // which are no failures
		s.Send(t, byPassword()).Refused(t, 503, tokenep.TemporarilyUnavailable)
	}
	people.Away(nil)
	s.Granted(t, byPassword())
	s.Store.SetAway(true)
	s.Clock.Advance(time.Minute) // what was read of the user is old by then
	s.Send(t, byPassword()).Refused(t, 503, tokenep.TemporarilyUnavailable)
}

// Whoever is disabled is refused as one who does not exist, and is let in again.
func TestPasswordOfDisabled(t *testing.T) {
	s := tokeneptest.New(t, withPasswords(tokeneptest.NewPeople("ada")))
	a, _ := s.Granted(t, byPassword())
	if err := s.DisableUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	s.Clock.Advance(time.Minute)
	s.Send(t, byPassword()).Refused(t, 400, tokenep.InvalidGrant)
	s.Send(t, refresh("legacy", a.RefreshToken())).Refused(t, 400, tokenep.InvalidGrant)
	if err := s.EnableUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	s.Clock.Advance(time.Minute)
	s.Granted(t, byPassword())
}

// RFC 9700 §2.4: the grant is off until it is asked for, and needs somebody who knows passwords.
func TestPasswordIsOff(t *testing.T) {
	s := tokeneptest.New(t, tokeneptest.NewPeople("ada").SignIn, tokeneptest.WithClients(tokeneptest.NewClient("legacy", grant.PasswordType)))
	s.Send(t, byPassword()).Refused(t, 400, tokenep.UnsupportedGrantType)
	c := s.Config
	c.Users, c.PasswordGrant = nil, true
	if _, err := server.New(c); err == nil || !strings.Contains(err.Error(), "set users") {
		t.Errorf("without users: %v", err)
	}
}

// RFC 6749 §4.3.2, §10.10: guesses that come at once are refused beyond the limit, with the time
// after which to come back, and the right password among them is not told.
func TestPasswordGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tokeneptest.Config(memory.New(memory.Options{Now: time.Now}), time.Now)
		withPasswords(tokeneptest.NewPeople("ada"))(&c)
		c.RateLimit = tokenep.RateLimit{Failures: 3, Per: tokenep.Duration(time.Hour)}
		s := tokeneptest.NewUnstarted(t, c)
		s.Log = new(tokeneptest.Log)
		ctx, cancel := context.WithCancel(t.Context())
		if err := s.Start(ctx); err != nil {
			t.Fatal(err)
		}
		answers := make(chan tokeneptest.Answer, 20)
		for i := range cap(answers) {
			go func() { answers <- s.Send(t, asking("ada", fmt.Sprint("guess", i))) }()
		}
		wrong := 0
		for range cap(answers) {
			if a := <-answers; a.Status == http.StatusTooManyRequests {
				a.Refused(t, http.StatusTooManyRequests, tokenep.TemporarilyUnavailable)
			} else {
				a.Refused(t, http.StatusBadRequest, tokenep.InvalidGrant)
				wrong++
			}
		}
		if wrong != 4 {
			t.Errorf("%d of 20 guesses are judged, want 4", wrong)
		}
		s.Send(t, byPassword()).Refused(t, http.StatusTooManyRequests, tokenep.TemporarilyUnavailable)
		time.Sleep(time.Hour)
		if a := s.Send(t, byPassword()); a.Status != http.StatusOK {
			t.Errorf("later: %d %s", a.Status, a.Body)
		}
		cancel()
		synctest.Wait()
	})
}

package subject_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenep/caddy-tokenep/tokenep"
	"github.com/tokenep/caddy-tokenep/tokenep/grant"
	"github.com/tokenep/caddy-tokenep/tokenep/server"
	"github.com/tokenep/caddy-tokenep/tokenep/subject"
	"github.com/tokenep/caddy-tokenep/tokenep/tokeneptest"
	"github.com/tokenep/caddy-tokenep/verify/outbound"
)

// reviews adds a cluster, with the clock of the server.
func reviews(t testing.TB, url, tokenFile string, policies ...subject.Policy) tokeneptest.Change {
	return func(c *server.Config) {
		k, err := subject.NewTokenReview(subject.TokenReviewOptions{
			URL: url, Audience: []string{tokeneptest.Issuer}, TokenFile: tokenFile, Answers: outbound.Answers{Now: c.Now},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(k.Close)
		c.Subjects = append(c.Subjects, &subject.Source{Name: k.Name(), Types: []string{grant.JWTType}, Prove: k.Prove, Policies: policies})
	}
}

func tokenFile(t testing.TB, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// jwtOf is a JWT as the cluster would make it; the signature is its business.
func jwtOf(times string) string {
	payload := `{"iss":"https://kubernetes.default.svc","sub":"system:serviceaccount:shop:cart","aud":["x"],` + times + `}`
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(payload)) + ".c2ln"
}

func byJWT(token string, pairs ...string) request {
	return tokeneptest.Exchange(token, grant.JWTType, pairs...).By("billing")
}

// pod is what the API of a cluster answers about the token of a pod.
func pod(change string) string {
	return `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{"token":"x"},"status":{
		"authenticated":true,"audiences":["` + tokeneptest.Issuer + `"],"user":{"username":"system:serviceaccount:shop:cart","uid":"u-1",
		"groups":["system:serviceaccounts","system:serviceaccounts:shop"],"extra":{
		"authentication.kubernetes.io/credential-id":["JTI=j-1"],"authentication.kubernetes.io/pod-name":["cart-0"],
		"authentication.kubernetes.io/pod-uid":["p-1"],"authentication.kubernetes.io/node-name":["n-1"]}}` + change + `}}`
}

// What is asked, by the token of a file that is read anew, and what the claims of the answer are.
func TestTokenReview(t *testing.T) {
	file, own := tokenFile(t, "first\n"), "first"
	token := jwtOf(fmt.Sprintf(`"exp":%d`, tokeneptest.Start.Add(5*time.Minute).Unix()))
	app := newApplication(t, func(w http.ResponseWriter, r *http.Request) {
		var sent any
		err := json.NewDecoder(r.Body).Decode(&sent)
		want := map[string]any{
			"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
			"spec": map[string]any{"token": token, "audiences": []any{tokeneptest.Issuer}},
		}
		if err != nil || !tokeneptest.EqualJSON(sent, want) || r.Method != http.MethodPost || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" ||
			r.Header.Get("Authorization") != "Bearer "+own || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %v %v", r.Method, r.URL, r.Header, sent)
		}
		w.Header().Set("Content-Type", "application/json")
		says(http.StatusCreated, pod(``))(w, r)
	})
	cart := person(t)
	cart.Once = true
	cart.When = when(t, `claims.namespace == "shop" && claims.serviceaccount == "cart" && "system:serviceaccounts:shop" in claims.groups &&
		claims.uid == "u-1" && claims.pod == "cart-0" && claims.pod_uid == "p-1" && claims.node == "n-1" && claims.jti == "j-1"`)
	f := tokeneptest.New(t, reviews(t, app.url, file, cart))
	_, issued := f.Granted(t, byJWT(token))
	if issued.Subject != "system:serviceaccount:shop:cart" {
		t.Errorf("it is about %s", issued.Subject)
	}
	if life := issued.Expires.Sub(issued.IssuedAt); life != 5*time.Minute {
		t.Errorf("it lives %s, want no longer than the token", life)
	}
	f.Send(t, byJWT(token)).Refused(t, 400, tokenep.InvalidRequest) // once
	own = "second"
	if err := os.WriteFile(file, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	f.Clock.Advance(time.Minute)
	f.Send(t, byJWT(token)).Refused(t, 400, tokenep.InvalidRequest)
	if n := app.asked.Load(); n != 2 {
		t.Errorf("it was asked %d times", n)
	}
}

// What an answer means. An API server that has not looked at the audiences does not say them.
func TestTokenReviewStatus(t *testing.T) {
	const yes, no, nobody = "yes", "no", "nobody knows"
	good := pod(``)
	for _, tc := range []struct{ name, token, body, means string }{
		{"authenticated", jwtOf(`"exp":1893456000`), good, yes},
		{"not authenticated", jwtOf(`"exp":1893456000`), strings.Replace(good, `"authenticated":true,`, ``, 1), no},
		{"authenticated is a text", jwtOf(`"exp":1893456000`), strings.Replace(good, `:true`, `:"true"`, 1), no},
		{"without audiences", jwtOf(`"exp":1893456000`), strings.Replace(good, `"audiences"`, `"other"`, 1), no},
		{"another audience", jwtOf(`"exp":1893456000`), strings.Replace(good, tokeneptest.Issuer, "https://kubernetes.default.svc", 1), no},
		{"an error of the webhook", jwtOf(`"exp":1893456000`), `{"kind":"TokenReview","status":{"authenticated":false,"error":"x"}}`, no},
		{"another account", jwtOf(`"exp":1893456000`), strings.Replace(good, `shop:cart`, `shop:admin`, 1), no},
		{"a user with the name of an account", jwtOf(`"exp":1893456000`), strings.Replace(good, `shop:cart`, `shop:cart:x`, 1), no},
		{"no user", jwtOf(`"exp":1893456000`), strings.Replace(good, `"username"`, `"name"`, 1), nobody},
		{"expired", jwtOf(`"exp":1`), good, no},
		{"no JWT", "opaque", good, no},
		{"no JSON in it", "a.b.c", good, no},
		{"a Status", jwtOf(`"exp":1893456000`), `{"kind":"Status","status":"Failure"}`, nobody},
		{"no status", jwtOf(`"exp":1893456000`), `{"kind":"TokenReview"}`, nobody},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cart := person(t)
			cart.When = when(t, `claims.serviceaccount == "cart"`)
			f := tokeneptest.New(t, reviews(t, newApplication(t, saysJSON(tc.body)).url, tokenFile(t, "t"), cart))
			switch tc.means {
			case yes:
				f.Granted(t, byJWT(tc.token))
			case no:
				f.Send(t, byJWT(tc.token)).Refused(t, 400, tokenep.InvalidRequest)
			default:
				unknown(t, f, byJWT(tc.token))
			}
		})
	}
	for name, answer := range map[string]http.HandlerFunc{
		"we may not ask": says(http.StatusForbidden, ``), "we are not known": says(http.StatusUnauthorized, ``), "no JSON": says(http.StatusCreated, good),
	} {
		t.Run(name, func(t *testing.T) {
			unknown(t, tokeneptest.New(t, reviews(t, newApplication(t, answer).url, tokenFile(t, "t"), person(t))), byJWT(jwtOf(`"exp":1893456000`)))
		})
	}
	t.Run("no token of ours", func(t *testing.T) {
		app := newApplication(t, saysJSON(good))
		unknown(t, tokeneptest.New(t, reviews(t, app.url, filepath.Join(t.TempDir(), "missing"), person(t))), byJWT(jwtOf(`"exp":1893456000`)))
		if app.asked.Load() != 0 {
			t.Error("it was asked")
		}
	})
}

// RFC 7523 §2.1: the token of a service account as an assertion, without a client.
func TestServiceAccountAsAssertion(t *testing.T) {
	api := newApplication(t, saysJSON(pod("")))
	p := person(t)
	p.Grants, p.Clients = []string{grant.JWTBearerType}, []string{subject.NoClient}
	f := tokeneptest.New(t, reviews(t, api.url, tokenFile(t, "secret"), p))
	token := jwtOf(fmt.Sprintf(`"exp":%d`, tokeneptest.Start.Add(time.Hour).Unix()))
	if _, given := f.Granted(t, post("grant_type", grant.JWTBearerType, "assertion", token)); given.GrantID != "policy:person" {
		t.Errorf("claims: %v", given.Claims)
	}
	f.Send(t, tokeneptest.Exchange(token, grant.JWTType).By("billing")).Refused(t, 400, tokenep.InvalidRequest)
	f.Send(t, post("grant_type", grant.JWTBearerType, "assertion", "opaque")).Refused(t, 400, tokenep.InvalidGrant)
}
